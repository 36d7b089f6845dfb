package io.github.lightning4j.jmh.device;

import io.github.lightning4j.cispo.head.CudaFusedHead;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;

/** What reinforcement learning asks of the head, without logits in memory. */
final class FusedHeadRow implements DeviceRow {
  @Override
  public String title() {
    return "log-probability and entropy of 4,096 tokens, V = 200,064, H = 6,144";
  }

  @Override
  public Goal goal() {
    return Goal.ofSpeed(0.8, ProductPromptRow.OWN.title(), "our bf16 product");
  }

  @Override
  public Measured measure(Scene scene) {
    int tokens = scene.size(4096, 40);
    int words = scene.size(200_064, 500);
    int hidden = scene.size(6144, 64);
    CudaFusedHead operator = CudaFusedHead.on(scene.stream());
    Tensor states = scene.random(DType.BF16, tokens, hidden);
    Tensor head = scene.weights(words, hidden);
    Tensor targets = scene.range(tokens);
    Tensor scratch = scene.zeros(DType.F32, operator.scratchElements(tokens, words));
    HeadOutput out =
        new HeadOutput(
            scene.zeros(DType.F32, tokens),
            scene.zeros(DType.F64, tokens),
            scene.zeros(DType.F32, tokens));
    // Logits of even states and weights grow with the square root of H; this keeps them small.
    double temperature = Math.sqrt(hidden) / 3;
    return scene.time(
        Job.ofOperations(
            i -> operator.forward(states, head, targets, temperature, scratch, out),
            2.0 * tokens * words * hidden));
  }
}
