package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CudaCacheAttention;
import io.github.lightning4j.kvquant.CudaKvRows;

/** A whole prompt attends to its own pages. */
final class CachePromptRow implements DeviceRow {
  static final String TITLE =
      "prompt of 8,192 tokens over bf16 pages, 64 heads on 8 kv heads of 128";

  @Override
  public String title() {
    return TITLE;
  }

  @Override
  public Goal goal() {
    return Goal.microseconds(3000);
  }

  @Override
  public Measured measure(Scene scene) {
    int tokens = scene.size(8192, 70);
    CacheTensors tensors = new CacheTensors(scene, Pages.BF16, tokens, 1);
    CudaCacheAttention attention = CudaCacheAttention.on(scene.stream());
    Tensor q = tensors.queries(tokens);
    Tensor out = tensors.queries(tokens);
    CudaKvRows rows = tensors.prompt();
    return tensors.checked(
        scene.time(
            Job.ofOperations(
                i -> attention.prefill(q, tensors.cache(), rows, tensors.scale(), out),
                tensors.promptOperations())));
  }
}
