package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;

/** A copy on the GPU, read and written: what bandwidth is. */
final class CopyRow implements DeviceRow {
  static final String TITLE = "copy of 1 GiB on the GPU";

  @Override
  public String title() {
    return TITLE;
  }

  @Override
  public Goal goal() {
    return Goal.NONE;
  }

  @Override
  public Goal.Kind yardstick() {
    return Goal.Kind.BANDWIDTH;
  }

  @Override
  public Measured measure(Scene scene) {
    long bytes = scene.size(1 << 30, 1 << 16);
    Tensor from = scene.zeros(DType.U8, bytes);
    Tensor to = scene.zeros(DType.U8, bytes);
    return scene.time(Job.ofBytes(i -> scene.stream().copy(from, to), 1, 2.0 * bytes));
  }
}
