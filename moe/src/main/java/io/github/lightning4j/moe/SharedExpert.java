package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.ExpertKernels;
import io.github.lightning4j.moe.internal.MoeLibrary;

/**
 * An expert that sees every token, mixed with the answer of the chosen ones.
 *
 * <pre>
 *   c = sigmoid(x[t] coefficient^T)
 *   out[t] = moe[t] (1 - c) + W2 (silu(W1 x[t]) * (W3 x[t])) c
 * </pre>
 *
 * <p>Numerics and cost are those of {@link MixtureOfExperts} with one expert. Source: the "sigmoid"
 * mode of the MiniMax-01 model code; the released weights have no shared expert.
 */
public final class SharedExpert {
  private final ExpertKernels kernels;

  private SharedExpert(ExpertKernels kernels) {
    this.kernels = kernels;
  }

  /** The fastest implementation of this machine. */
  public static SharedExpert best() {
    return of(MoeLibrary.get().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static SharedExpert of(Backend backend) {
    return new SharedExpert(ExpertKernels.of(backend));
  }

  /**
   * Mixes the shared expert's answer in.
   *
   * @param x {@code [T, H]} F32, what the mixture was given
   * @param shared the expert's weights
   * @param workspace scratch memory
   * @param moeInOut {@code [T, H]} F32: the mixture's answer, replaced by the result
   * @throws IllegalArgumentException if types, shapes or devices do not fit or {@code moeInOut}
   *     overlaps another argument
   * @throws IllegalStateException if the workspace or a tensor is closed
   */
  public void combine(Tensor x, SharedWeights shared, MoeWorkspace workspace, Tensor moeInOut) {
    Disjoint.check("moeInOut", moeInOut, "gate", shared.gate());
    Disjoint.check("moeInOut", moeInOut, "up", shared.up());
    Disjoint.check("moeInOut", moeInOut, "down", shared.down());
    mix(x, shared.asExpert(), shared.coefficient(), workspace, moeInOut);
  }

  /**
   * Mixes the answer of a quantized shared expert in.
   *
   * @param x {@code [T, H]} F32, what the mixture was given
   * @param expert a mixture of one
   * @param coefficient {@code [1, H]} F32, BF16 or F16
   * @param workspace scratch memory
   * @param moeInOut {@code [T, H]} F32: the mixture's answer, replaced by the result
   * @throws IllegalArgumentException if types, shapes or devices do not fit or {@code moeInOut}
   *     overlaps another argument
   * @throws IllegalStateException if the workspace, the expert or a tensor is closed
   */
  public void combine(
      Tensor x,
      QuantizedExpertWeights expert,
      Tensor coefficient,
      MoeWorkspace workspace,
      Tensor moeInOut) {
    checkArgument(expert.experts() == 1, "expert: expected one expert, got %s", expert.experts());
    SharedWeights.checkCoefficient(coefficient, expert.hidden());
    mix(x, expert, coefficient, workspace, moeInOut);
  }

  private void mix(
      Tensor x, Experts expert, Tensor coefficient, MoeWorkspace workspace, Tensor moeInOut) {
    Checks.matrix("x", x, DType.F32);
    Checks.shape("x", x, x.size(0), expert.hidden());
    Checks.sameDevice("x", x, "coefficient", coefficient);
    Checks.matrix("moeInOut", moeInOut, DType.F32);
    Checks.shape("moeInOut", moeInOut, x.shape());
    Checks.sameDevice("moeInOut", moeInOut, "x", x);
    Disjoint.check("moeInOut", moeInOut, "x", x);
    Disjoint.check("moeInOut", moeInOut, "coefficient", coefficient);
    DispatchPlan plan = workspace.sharedPlan();
    int tokens = Math.toIntExact(x.size(0));
    if (Recording.isActive()) {
      plan.buildShared(tokens); // its sizes
    }
    Recording.once(() -> plan.buildShared(tokens));
    kernels.mixShared(x, coefficient, expert, plan, workspace.scratch(), moeInOut);
  }
}
