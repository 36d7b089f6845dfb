package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import org.jspecify.annotations.Nullable;

/** A mixture of experts over a plan; arguments are checked by the facades. */
public interface ExpertKernels {
  /** {@code out[t] = sum_j weight[t, j] expert_j(x[t])} over the pairs the plan keeps. */
  void forward(
      Tensor x, Experts weights, DispatchPlan plan, Tensor weight, Scratch scratch, Tensor out);

  /**
   * What the experts answer, in order of position: {@code [pairs kept, H]}, valid until the scratch
   * is used again. The bits of an expert's rows depend on these rows and their order alone.
   */
  Tensor answers(Tensor x, Experts weights, DispatchPlan plan, Scratch scratch);

  /** {@code rows[i] = x[pairs[i] / slots]}, pairs I32. */
  void gather(Tensor x, Tensor pairs, int slots, Tensor rows);

  /**
   * {@code out[t] = sum_s weight[t, s] rows[positions[t * slots + s]]}, s upwards, as {@link
   * #forward} adds answers.
   *
   * @param positions I32 {@code [T slots]}, -1 where there is nothing to add
   * @param weight {@code [T, slots]}, or null where all count as 1
   */
  void combine(Tensor rows, Tensor positions, int slots, @Nullable Tensor weight, Tensor out);

  /** The gradients of {@link #forward}. */
  void backward(
      Tensor x,
      ExpertWeights weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      ExpertGradients out);

  /**
   * {@code inOut[t] = inOut[t] (1 - c) + expert(x[t]) c}, {@code c = sigmoid(<x[t], coefficient>)}.
   *
   * @param expert a mixture of one
   * @param plan every token to this expert
   */
  void mixShared(
      Tensor x,
      Tensor coefficient,
      Experts expert,
      DispatchPlan plan,
      Scratch scratch,
      Tensor inOut);

  /** The implementation for a backend. */
  static ExpertKernels of(Backend backend) {
    return backend == Backend.REFERENCE
        ? new ReferenceExperts()
        : MoeLibrary.get().choose(backend, new ReferenceExperts(), new CpuExperts());
  }
}
