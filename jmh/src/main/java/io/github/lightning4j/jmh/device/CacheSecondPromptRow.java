package io.github.lightning4j.jmh.device;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CudaCacheAttention;
import io.github.lightning4j.kvquant.CudaKvRows;

/** A prompt attends to quantized tokens and to its own: a second turn of a chat. */
final class CacheSecondPromptRow implements DeviceRow {
  @Override
  public String title() {
    return "prompt of 4,096 tokens behind 32,768 over kv2 pages, 64 heads on 8 kv heads of 128";
  }

  @Override
  public Goal goal() {
    return Goal.ofSpeed(0.6, CachePromptRow.TITLE, "bf16 pages");
  }

  @Override
  public Measured measure(Scene scene) {
    int tokens = scene.size(1 << 15, 200);
    int behind = scene.size(1 << 12, 40);
    CacheTensors tensors = new CacheTensors(scene, Pages.KV2, tokens, behind, 1);
    CudaCacheAttention attention = CudaCacheAttention.on(scene.stream());
    Tensor q = tensors.queries(behind);
    Tensor out = tensors.queries(behind);
    CudaKvRows rows = tensors.behind();
    Tensor aged = scene.ints(tokens);
    long elements = attention.promptScratchElements(tensors.cache(), behind, q.size(1));
    Tensor scratch = scene.zeros(DType.F32, elements);
    Measured measured =
        scene.time(
            Job.ofOperations(
                i ->
                    attention.prefill(
                        q, tensors.cache(), rows, aged, tensors.scale(), scratch, out),
                tensors.behindOperations()));
    for (double value : scene.down(out.narrow(0, behind - 1, 1))) {
      checkState(Double.isFinite(value), "attention behind quantized tokens gives %s", value);
    }
    return measured;
  }
}
