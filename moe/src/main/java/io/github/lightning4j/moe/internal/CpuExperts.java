package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import org.jspecify.annotations.Nullable;

/**
 * The kernels of {@code experts_kernels.h} and, for experts with many tokens, grouped products over
 * packed tokens.
 */
final class CpuExperts implements ExpertKernels {
  /** Tokens of a shared expert that are worth a thread of their own. */
  private static final long SHARED_GRAIN = 8;

  private final CpuFeedForward feedForward = new CpuFeedForward();
  private final CpuBackward backward = new CpuBackward();

  @Override
  public void forward(
      Tensor x, Experts weights, DispatchPlan plan, Tensor weight, Scratch scratch, Tensor out) {
    Tensor answers = feedForward.run(x, weights, plan, scratch);
    CpuFeedForward.combine(answers, plan, scratch.positions, weight, out);
  }

  @Override
  public Tensor answers(Tensor x, Experts weights, DispatchPlan plan, Scratch scratch) {
    return feedForward.run(x, weights, plan, scratch);
  }

  @Override
  public void gather(Tensor x, Tensor pairs, int slots, Tensor rows) {
    CpuFeedForward.gather(x, pairs, slots, rows);
  }

  @Override
  public void combine(
      Tensor rows, Tensor positions, int slots, @Nullable Tensor weight, Tensor out) {
    CpuFeedForward.combine(rows, positions, slots, weight, out);
  }

  @Override
  public void backward(
      Tensor x,
      ExpertWeights weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      ExpertGradients out) {
    backward.run(x, weights, plan, weight, dOut, out);
  }

  @Override
  public void mixShared(
      Tensor x,
      Tensor coefficient,
      Experts expert,
      DispatchPlan plan,
      Scratch scratch,
      Tensor inOut) {
    Tensor answers = feedForward.run(x, expert, plan, scratch);
    Recording.forRanges(
        x.size(0),
        SHARED_GRAIN,
        (from, to) ->
            MoeKernels.mix(
                coefficient.dtype().ordinal(),
                x.address(),
                x.stride(0),
                coefficient.address(),
                answers.address(),
                x.size(1),
                inOut.address(),
                inOut.stride(0),
                from,
                to));
  }
}
