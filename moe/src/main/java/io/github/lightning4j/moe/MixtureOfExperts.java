package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.internal.ExpertGradients;
import io.github.lightning4j.moe.internal.ExpertKernels;
import io.github.lightning4j.moe.internal.MoeLibrary;
import java.util.List;

/**
 * A mixture of SwiGLU experts. No token is dropped, unless the caller's {@link DispatchPlan} has a
 * {@link Capacity}.
 *
 * <pre>out[t] = sum_j weight[t, j] W2_e (silu(W1_e x[t]) * (W3_e x[t])),   e = index[t, j]</pre>
 *
 * <p>Shapes: T tokens of width H, E experts of inner width I, k choices a token. Cost: 6 T k H I
 * operations; for few tokens the floor is one read of the weights of the experts chosen, 3 H I
 * elements each.
 *
 * <p>Numerics: on the CPU products and sums in fp32, 16-bit weights widened exactly; in the
 * reference in double. The k answers of a token are added in the order of its choices, and work is
 * split along outputs, so results do not depend on the number of threads. On the CPU an expert with
 * at most 16 tokens runs in kernels that stream its weights once; those with more run together as
 * grouped matrix products over packed tokens; with BF16 weights those run on AMX tiles where the
 * CPU has them, over tokens and hidden rows as sums of BF16 (see {@link
 * io.github.lightning4j.core.kernel.Bf16Products}). With quantized weights both round tokens and
 * hidden rows to integers, block by block, as {@link io.github.lightning4j.core.Gemm} does, to 16
 * bits against weights of 8 and to 8 against weights of 4: the normalized mean square error against
 * the same experts over dequantized weights is some 1e-9 with 8 bits and 1e-4 with 4, for normal
 * tokens. NaN and infinity in a token stay in that token. Source: MiniMax-01 (arXiv 2501.08313);
 * dispatch after MegaBlocks (arXiv 2211.15841).
 */
public final class MixtureOfExperts {
  private final ExpertKernels kernels;

  private MixtureOfExperts(ExpertKernels kernels) {
    this.kernels = kernels;
  }

  /** Whether native kernels serve this artifact, and if not, why. */
  public static Availability availability() {
    return MoeLibrary.get().availability();
  }

  /** The fastest implementation of this machine. */
  public static MixtureOfExperts best() {
    return of(MoeLibrary.get().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static MixtureOfExperts of(Backend backend) {
    return new MixtureOfExperts(ExpertKernels.of(backend));
  }

  /**
   * Computes the mixture.
   *
   * @param x {@code [T, H]} F32
   * @param weights of E experts, plain or quantized
   * @param index {@code [T, k]} I32, the experts of each token, as {@link Router} gives them
   * @param weight {@code [T, k]} F32, their shares
   * @param workspace scratch memory; holds the {@linkplain MoeWorkspace#plan() dispatch} afterwards
   * @param out {@code [T, H]} F32, overwritten
   * @throws IllegalArgumentException if types, shapes or devices do not fit, an index is outside
   *     {@code [0, E)}, or {@code out} overlaps another argument
   * @throws IllegalStateException if the workspace or a tensor is closed
   */
  public void forward(
      Tensor x, Experts weights, Tensor index, Tensor weight, MoeWorkspace workspace, Tensor out) {
    MixtureChecks.tokens("x", x, x, weights);
    MixtureChecks.index(x, weights, index);
    Disjoint.check("out", out, "index", index);
    DispatchPlan plan = workspace.plan();
    if (Recording.isActive()) {
      plan.buildFirst((int) x.size(0), (int) index.size(1), weights.experts());
    }
    Recording.once(() -> plan.build(index, weights.experts()));
    run(x, weights, plan, weight, workspace, out);
  }

  /**
   * Computes the mixture over a dispatch that the caller made, with a capacity for example. A
   * dropped pair adds nothing to its token, and the weights of the others are taken as they are; a
   * token that lost all of its choices gets zeros.
   *
   * @param x as above
   * @param weights as above
   * @param plan of these T tokens to these E experts; may be the workspace's own
   * @param weight as above
   * @param workspace scratch memory; its plan is not touched
   * @param out as above
   * @throws IllegalArgumentException as above, or if the plan is of another number of tokens or
   *     experts
   * @throws IllegalStateException as above, or while a {@link Recording} is made: the plan might be
   *     another when it runs
   */
  public void forward(
      Tensor x,
      Experts weights,
      DispatchPlan plan,
      Tensor weight,
      MoeWorkspace workspace,
      Tensor out) {
    checkState(!Recording.isActive(), "a plan of the caller's cannot be recorded; record an index");
    run(x, weights, plan, weight, workspace, out);
  }

  private void run(
      Tensor x,
      Experts weights,
      DispatchPlan plan,
      Tensor weight,
      MoeWorkspace workspace,
      Tensor out) {
    MixtureChecks.tokens("x", x, x, weights);
    MixtureChecks.routing(x, weights, plan, weight);
    MixtureChecks.tokens("out", out, x, weights);
    MixtureChecks.output(out, x, weights, weight);
    if (x.size(0) > 0) {
      kernels.forward(x, weights, plan, weight, workspace.scratch(), out);
    }
  }

  /**
   * The gradients of {@code forward}. With d = dOut[t], w = weight[t, j], g = W1 x, u = W3 x, s =
   * sigmoid(g), h = g s u, q = W2^T d, for every choice j of every token t:
   *
   * <pre>
   *   dWeight[t, j] = (h, q)
   *   dg = w q u s (1 + g (1 - s))       du = w q g s
   *   dW1 += dg x^T    dW3 += du x^T     dW2 += w d h^T
   *   dx += W1^T dg + W3^T du            the path through the experts alone
   * </pre>
   *
   * <p>The path through the router goes on with {@link Router#backward} on {@code outDWeight}. All
   * outputs are overwritten; an expert without tokens gets zeros. The forward is computed again.
   * Numerics as in {@code forward}; scratch memory is allocated and freed within the call.
   *
   * @param x as given to {@code forward}
   * @param weights as given to {@code forward}
   * @param index as given to {@code forward}
   * @param weight as given to {@code forward}
   * @param dOut {@code [T, H]} F32
   * @param outDx {@code [T, H]} F32
   * @param outDWeight {@code [T, k]} F32
   * @param outDGate dW1, {@code [I, H]} F32 for each expert
   * @param outDUp dW3, {@code [I, H]} F32 for each expert
   * @param outDDown dW2, {@code [H, I]} F32 for each expert
   * @throws IllegalArgumentException as in {@code forward}, if the weights are quantized, or if an
   *     output overlaps another output or an input
   */
  public void backward(
      Tensor x,
      Experts weights,
      Tensor index,
      Tensor weight,
      Tensor dOut,
      Tensor outDx,
      Tensor outDWeight,
      List<Tensor> outDGate,
      List<Tensor> outDUp,
      List<Tensor> outDDown) {
    MixtureChecks.tokens("x", x, x, weights);
    MixtureChecks.index(x, weights, index);
    DispatchPlan plan = new DispatchPlan();
    plan.build(index, weights.experts());
    ExpertGradients out = new ExpertGradients(outDx, outDWeight, outDGate, outDUp, outDDown);
    ExpertWeights plain = checkBackward(x, weights, plan, weight, dOut, out);
    MixtureChecks.apartFromIndex(index, out);
    kernels.backward(x, plain, plan, weight, dOut, out);
  }

  /**
   * The gradients of {@link #forward(Tensor, Experts, DispatchPlan, Tensor, MoeWorkspace, Tensor)}:
   * the sums go over the pairs that the plan keeps; dWeight of a dropped pair is 0.
   *
   * @param x as above
   * @param weights as above
   * @param plan as given to {@code forward}
   * @param weight as above
   * @param dOut as above
   * @param outDx as above
   * @param outDWeight as above
   * @param outDGate as above
   * @param outDUp as above
   * @param outDDown as above
   * @throws IllegalArgumentException as in {@code forward}
   */
  public void backward(
      Tensor x,
      Experts weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      Tensor outDx,
      Tensor outDWeight,
      List<Tensor> outDGate,
      List<Tensor> outDUp,
      List<Tensor> outDDown) {
    ExpertGradients out = new ExpertGradients(outDx, outDWeight, outDGate, outDUp, outDDown);
    ExpertWeights plain = checkBackward(x, weights, plan, weight, dOut, out);
    kernels.backward(x, plain, plan, weight, dOut, out);
  }

  private static ExpertWeights checkBackward(
      Tensor x,
      Experts weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      ExpertGradients out) {
    ExpertWeights plain = MixtureChecks.trainable(weights);
    MixtureChecks.tokens("x", x, x, weights);
    MixtureChecks.routing(x, weights, plan, weight);
    MixtureChecks.gradients(x, plain, weight, dOut, out);
    return plain;
  }
}
