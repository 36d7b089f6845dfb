package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.CudaExpertWeights;
import io.github.lightning4j.moe.CudaMixtureOfExperts;
import io.github.lightning4j.moe.CudaMoeWorkspace;
import io.github.lightning4j.moe.RouterOptions;

/**
 * The experts of a layer of MiniMax-01, routing and sum included. Decode steps take successive
 * choices of experts; the bytes are those of the experts that were hit, counted after routing.
 *
 * @param tokens of a step
 * @param weights of the experts
 */
record ExpertsRow(int tokens, Weights weights) implements DeviceRow {
  private static final int CHOICES = 2;

  /** Steps that choose by themselves. */
  private static final int ROUTINGS = 16;

  /** Up to here reading the weights counts, and nothing else. */
  private static final int DECODE = 32;

  private boolean isDecode() {
    return tokens <= DECODE;
  }

  @Override
  public String title() {
    String what = "experts of MiniMax-01 (32 of 6,144 x 9,216, two a token), ";
    return String.format(
        "%s%s, %stokens: %,d", what, weights, isDecode() ? "in a graph, " : "", tokens);
  }

  @Override
  public Goal goal() {
    return isDecode() ? Goal.ofBandwidth(0.75) : Goal.ofMatrixRate(0.7);
  }

  @Override
  public Measured measure(Scene scene) {
    long hidden = scene.size(6144, 64);
    long inner = scene.size(9216, 32);
    int experts = scene.size(32, 4);
    int count = scene.size(tokens, isDecode() ? Math.min(tokens, 3) : 40);
    CudaExpertWeights there =
        scene.add(
            CudaExpertWeights.random(
                scene.device(), scene.fill(), experts, hidden, inner, weights.format()));
    CudaMoeWorkspace workspace = scene.add(CudaMoeWorkspace.allocate(there, count, CHOICES));
    int routings = isDecode() ? scene.size(ROUTINGS, 2) : 1;
    Tensor x = scene.random(DType.BF16, count, hidden);
    Tensor logits = scene.random(DType.F32, routings, count, experts);
    Tensor out = scene.zeros(DType.BF16, count, hidden);
    RouterOptions options = RouterOptions.topK(CHOICES);
    CudaMixtureOfExperts mixture = CudaMixtureOfExperts.on(scene.stream());
    Job job =
        new Job(
            i -> mixture.forward(x, logits.select(0, i), options, null, there, workspace, out),
            routings,
            0,
            6.0 * count * CHOICES * hidden * inner,
            isDecode());
    if (!isDecode()) {
      return scene.time(job);
    }
    long hit = 0;
    for (int i = 0; i < routings; i++) {
      job.step().accept(i);
      hit += hit(scene, workspace.offsets());
    }
    double bytes = (double) hit / routings * there.bytes() / experts;
    return scene.time(Job.ofBytes(job.step(), routings, bytes).asGraph());
  }

  /** Experts with a token or more. */
  private static long hit(Scene scene, Tensor offsets) {
    double[] at = scene.down(offsets);
    long hit = 0;
    for (int e = 1; e < at.length; e++) {
      hit += at[e] > at[e - 1] ? 1 : 0;
    }
    return hit;
  }
}
