package io.github.lightning4j.jmh.device;

import io.github.lightning4j.cispo.head.CudaFusedHead;
import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;

/**
 * What reinforcement learning asks of the head, without logits in memory.
 *
 * @param training whether gradients of hidden states and head come after it; logits are then made
 *     twice, and counted so
 * @param share of the speed of a product
 */
record FusedHeadRow(boolean training, double share) implements DeviceRow {
  /** Products of the size of the logits: logits, logits again, and two of their gradients. */
  private static final int TRAINING = 4;

  @Override
  public String title() {
    return "log-probability and entropy of 4,096 tokens, V = 200,064, H = 6,144"
        + (training ? ", and their gradients" : "");
  }

  @Override
  public Goal goal() {
    return Goal.ofSpeed(share, ProductPromptRow.OWN.title(), "our bf16 product");
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
    Runnable forward = () -> operator.forward(states, head, targets, temperature, scratch, out);
    double operations = 2.0 * tokens * words * hidden;
    if (!training) {
      return scene.time(Job.ofOperations(i -> forward.run(), operations));
    }
    Tensor block = scene.zeros(DType.F32, operator.backwardScratchElements(tokens, words));
    HeadGradients gradients =
        HeadGradients.of(scene.random(DType.F32, tokens))
            .toDHidden(scene.zeros(DType.F32, tokens, hidden))
            .toDHead(scene.zeros(DType.F32, words, hidden));
    return scene.time(
        Job.ofOperations(
            i -> {
              forward.run();
              operator.backward(states, head, targets, temperature, out, gradients, block);
            },
            TRAINING * operations));
  }
}
