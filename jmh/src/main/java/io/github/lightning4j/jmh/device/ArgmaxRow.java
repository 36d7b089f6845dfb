package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.CudaRowOperators;

/** The choice of a token, its logits still in the cache. */
final class ArgmaxRow implements DeviceRow {
  @Override
  public String title() {
    return "argmax of 200,064 logits, one row, in a graph";
  }

  @Override
  public Goal goal() {
    return Goal.microseconds(5);
  }

  @Override
  public Measured measure(Scene scene) {
    int vocabulary = scene.size(200_064, 5000);
    Tensor logits = scene.random(DType.F32, 1, vocabulary);
    Tensor scratch = scene.zeros(DType.I64, 1, CudaRowOperators.argmaxParts(vocabulary));
    Tensor out = scene.zeros(DType.I32, 1);
    CudaRowOperators operators = CudaRowOperators.on(scene.stream());
    return scene.time(
        Job.ofBytes(i -> operators.argmax(logits, scratch, out), 1, 4.0 * vocabulary).asGraph());
  }
}
