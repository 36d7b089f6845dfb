package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.CudaExpertGradients;
import io.github.lightning4j.moe.CudaExpertWeights;
import io.github.lightning4j.moe.CudaMixtureBackward;
import io.github.lightning4j.moe.CudaMixtureOfExperts;
import io.github.lightning4j.moe.CudaMoeWorkspace;
import io.github.lightning4j.moe.RouterOptions;

/** The gradients of the experts of a layer of MiniMax-01, after one forward pass. */
final class ExpertsBackwardRow implements DeviceRow {
  private static final int CHOICES = 2;

  /** Two products again, one through the second layer, two to the tokens, three to the weights. */
  private static final int PRODUCTS = 8;

  @Override
  public String title() {
    return "experts of MiniMax-01 (32 of 6,144 x 9,216, two a token), bf16, gradients,"
        + " tokens: 4,096";
  }

  @Override
  public Goal goal() {
    return Goal.ofSpeed(0.6, ProductPromptRow.OWN.title(), "our bf16 product");
  }

  @Override
  public Measured measure(Scene scene) {
    long hidden = scene.size(6144, 64);
    long inner = scene.size(9216, 32);
    int experts = scene.size(32, 4);
    int tokens = scene.size(4096, 40);
    CudaExpertWeights weights =
        scene.add(
            CudaExpertWeights.random(scene.device(), scene.fill(), experts, hidden, inner, null));
    CudaMoeWorkspace workspace = scene.add(CudaMoeWorkspace.allocate(weights, tokens, CHOICES));
    Tensor x = scene.random(DType.BF16, tokens, hidden);
    Tensor dOut = scene.random(DType.BF16, tokens, hidden);
    Tensor logits = scene.random(DType.F32, tokens, experts);
    Tensor dx = scene.zeros(DType.BF16, tokens, hidden);
    CudaMixtureOfExperts.on(scene.stream())
        .forward(x, logits, RouterOptions.topK(CHOICES), null, weights, workspace, dx);
    Tensor scratch =
        scene.zeros(DType.F32, CudaMixtureBackward.scratchElements(weights, workspace, tokens));
    CudaExpertGradients gradients =
        new CudaExpertGradients(
            dx,
            scene.zeros(DType.F32, tokens, CHOICES),
            scene.zeros(DType.F32, experts, inner, hidden),
            scene.zeros(DType.F32, experts, inner, hidden),
            scene.zeros(DType.F32, experts, hidden, inner));
    CudaMixtureBackward backward = CudaMixtureBackward.on(scene.stream());
    return scene.time(
        Job.ofOperations(
            i -> backward.experts(x, weights, workspace, dOut, scratch, gradients),
            2.0 * PRODUCTS * tokens * CHOICES * hidden * inner));
  }
}
