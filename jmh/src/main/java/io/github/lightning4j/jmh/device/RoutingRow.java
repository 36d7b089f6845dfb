package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.RouterOptions;
import io.github.lightning4j.moe.internal.CudaMoeBuffers;
import io.github.lightning4j.moe.internal.CudaRouting;

/** What a decode step takes to choose experts and to sort tokens by them. */
final class RoutingRow implements DeviceRow {
  private static final int EXPERTS = 32;

  @Override
  public String title() {
    return "routing of one token among 32 experts, in a graph";
  }

  @Override
  public Goal goal() {
    return Goal.microseconds(3);
  }

  @Override
  public Measured measure(Scene scene) {
    RouterOptions options = RouterOptions.topK(2);
    MemoryScope scope = scene.add(new MemoryScope());
    CudaMoeBuffers buffers =
        CudaMoeBuffers.allocate(scene.device(), scope, options.k(), EXPERTS, 1, 1);
    Tensor logits = scene.random(DType.F32, 1, EXPERTS);
    return scene.time(
        Job.ofBytes(i -> CudaRouting.run(scene.stream(), logits, options, null, buffers), 1, 0)
            .asGraph());
  }
}
