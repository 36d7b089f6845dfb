package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.moe.internal.CudaExperts;
import io.github.lightning4j.moe.internal.CudaRouting;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * {@link Router} and {@link MixtureOfExperts} on a GPU, in one call.
 *
 * <pre>
 *   index[t], weight[t] = route(logits[t])
 *   mixture[t] = sum_j weight[t, j] W2_e (silu(W1_e x[t]) * (W3_e x[t])),   e = index[t, j]
 *   out[t] = mixture[t], or alpha residual[t] + beta mixture[t]
 * </pre>
 *
 * <p>A call puts four to eight kernels on a stream and returns. How many tokens each expert got is
 * known on the GPU alone, nothing waits for it and nothing is allocated, so that a call can be part
 * of a {@link io.github.lightning4j.core.cuda.CudaGraph}. The first call with new types, options or
 * sizes compiles kernels: make it before recording. Tensors, weights and workspace must stay open
 * until the work has ended.
 *
 * <p><b>Routing</b> follows {@link RouterOptions} as the CPU does, ties to the lowest index, in
 * fp32. Nobody can be told of logits that are NaN, positive infinity or all negative infinity: such
 * a token gets the experts 0 to k - 1 with weights NaN, and its row of {@code out} is NaN. NaN and
 * infinity in a token stay in that token.
 *
 * <p><b>Numerics.</b> Products of bf16 on tensor cores with fp32 sums; weights of 8 and 4 bits
 * become bf16 in registers, rounded to nearest after their scale. What is between the two layers is
 * rounded to bf16, the answers of experts are fp32 and are added in the order of choices, and the
 * result is rounded once. Sums go in an order that depends on sizes and on how many tokens an
 * expert has, up to 16 or more; so the same input gives the same bits.
 *
 * <p><b>Cost.</b> 6 T k H I operations. Experts with at most 16 tokens read their weights once, and
 * nothing else counts; others read them once for every 16 tiles of 64 or 128 tokens.
 */
public final class CudaMixtureOfExperts {
  private static final Set<DType> OUTPUTS = EnumSet.of(DType.BF16, DType.F32);
  private static final int ALIGNMENT = 16;

  private final CudaStream stream;

  private CudaMixtureOfExperts(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaMixtureOfExperts on(CudaStream stream) {
    return new CudaMixtureOfExperts(stream);
  }

  /**
   * Routes tokens and computes the mixture.
   *
   * @param x {@code [T, H]} BF16; rows begin at multiples of 16 bytes
   * @param logits {@code [T, E]} F32, E at most 1024
   * @param options what is chosen and how it is weighed
   * @param bias {@code [E]} F32, contiguous and finite, added to the scores for the choice alone;
   *     null for none
   * @param weights of E experts
   * @param workspace for at least T tokens; keeps the routing until its next call
   * @param out {@code [T, H]} BF16 or F32, overwritten; rows begin at multiples of 16 bytes
   * @throws IllegalArgumentException if types, shapes, sizes, alignment or devices do not fit, the
   *     options do not fit E experts, or {@code out} overlaps another argument
   * @throws IllegalStateException if weights, workspace or a tensor are closed
   */
  public void forward(
      Tensor x,
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      CudaExpertWeights weights,
      CudaMoeWorkspace workspace,
      Tensor out) {
    checkWhole(logits, weights);
    run(x, logits, options, bias, weights, 0, workspace, null, 0, 1, out);
  }

  /**
   * Routes tokens over all experts and computes the part of the mixture that some of these give:
   * what one of several ranks adds that share the experts of a layer out.
   *
   * <pre>
   *   out[t] = sum of weight[t, j] W2_e (silu(W1_e x[t]) * (W3_e x[t]))
   *            over the j with first &lt;= index[t, j] &lt; first + n,   e = index[t, j] - first
   * </pre>
   *
   * <p>Pairs of other experts cost nothing but their routing; a token without experts here gets
   * zeros. The parts of all ranks, in F32, add up to the mixture of {@link #forward}, but for the
   * order of sums. The NaN of a token that cannot be routed is in the parts of those that hold the
   * experts 0 to k - 1.
   *
   * @param x as of {@code forward}
   * @param logits {@code [T, E]} F32, of all E experts
   * @param options as of {@code forward}, for E experts
   * @param bias {@code [E]}, as of {@code forward}
   * @param weights of n experts
   * @param first the number of the first of them among all; {@code 0 <= first <= E - n}
   * @param workspace for E experts, as {@link CudaMoeWorkspace#allocate(CudaExpertWeights, int,
   *     long, int)} makes it
   * @param out {@code [T, H]} BF16 or F32, overwritten
   * @throws IllegalArgumentException as of {@code forward}, and if E does not hold these experts
   * @throws IllegalStateException as of {@code forward}
   */
  public void part(
      Tensor x,
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      CudaExpertWeights weights,
      int first,
      CudaMoeWorkspace workspace,
      Tensor out) {
    Checks.rank("logits", logits, 2);
    checkArgument(
        first >= 0 && first <= logits.size(1) - weights.experts(),
        "first: expected %s experts within the %s of the logits, got them from %s on",
        weights.experts(),
        logits.size(1),
        first);
    run(x, logits, options, bias, weights, first, workspace, null, 0, 1, out);
  }

  /**
   * The same, and the residual sum of a layer with it.
   *
   * @param x as above
   * @param logits as above
   * @param options as above
   * @param bias as above
   * @param weights as above
   * @param workspace as above
   * @param residual {@code [T, H]} of the type of out; may be {@code out} itself
   * @param alpha factor of the residual
   * @param beta factor of the mixture
   * @param out as above
   * @throws IllegalArgumentException as above
   * @throws IllegalStateException as above
   */
  public void forward(
      Tensor x,
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      CudaExpertWeights weights,
      CudaMoeWorkspace workspace,
      Tensor residual,
      float alpha,
      float beta,
      Tensor out) {
    checkWhole(logits, weights);
    residual(residual, x.size(0), weights.hidden(), out);
    run(x, logits, options, bias, weights, 0, workspace, residual, alpha, beta, out);
  }

  /**
   * Ends a layer whose parts were added up over ranks: {@code out = alpha residual + beta mixture}.
   *
   * @param mixture {@code [T, H]} F32, contiguous, H a multiple of 8
   * @param residual {@code [T, H]} of the type of out; may be {@code out} itself
   * @param alpha factor of the residual
   * @param beta factor of the mixture
   * @param out {@code [T, H]} BF16 or F32, overwritten
   * @throws IllegalArgumentException as of {@code forward}
   * @throws IllegalStateException if a tensor is closed
   */
  public void addResidual(Tensor mixture, Tensor residual, float alpha, float beta, Tensor out) {
    Checks.rank("mixture", mixture, 2);
    checkArgument(
        mixture.size(1) % CudaExpertWeights.VECTOR == 0,
        "mixture: expected rows of a multiple of %s elements, got %s",
        CudaExpertWeights.VECTOR,
        mixture);
    rows(stream, "mixture", mixture, EnumSet.of(DType.F32), mixture.size(0), mixture.size(1));
    Checks.contiguous("mixture", mixture);
    rows(stream, "out", out, OUTPUTS, mixture.size(0), mixture.size(1));
    residual(residual, mixture.size(0), mixture.size(1), out);
    Disjoint.check("out", out, "mixture", mixture);
    if (mixture.size(0) > 0) {
      CudaExperts.addResidual(stream, mixture, residual, alpha, beta, out);
    }
  }

  private void residual(Tensor residual, long tokens, long hidden, Tensor out) {
    rows(stream, "residual", residual, EnumSet.of(out.dtype()), tokens, hidden);
    boolean same = Checks.distance(residual, out) == 0 && residual.stride(0) == out.stride(0);
    checkArgument(
        same || !Checks.overlap(residual, out),
        "out: expected residual itself or memory apart from it, got an overlap");
  }

  private static void checkWhole(Tensor logits, CudaExpertWeights weights) {
    Checks.matrix("logits", logits, DType.F32);
    Checks.shape("logits", logits, logits.size(0), weights.experts());
  }

  private void run(
      Tensor x,
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      CudaExpertWeights weights,
      int first,
      CudaMoeWorkspace workspace,
      @Nullable Tensor residual,
      float alpha,
      float beta,
      Tensor out) {
    Checks.rank("x", x, 2);
    rows(stream, "x", x, EnumSet.of(DType.BF16), x.size(0), weights.hidden());
    rows(stream, "out", out, OUTPUTS, x.size(0), weights.hidden());
    stream.check("logits", logits);
    Checks.matrix("logits", logits, DType.F32);
    Checks.shape("logits", logits, x.size(0), logits.size(1));
    int experts = Math.toIntExact(logits.size(1));
    checkArgument(
        experts <= CudaRouting.MOST_EXPERTS,
        "weights: expected at most %s experts, got %s",
        CudaRouting.MOST_EXPERTS,
        experts);
    options.check(experts);
    if (bias != null) {
      stream.check("bias", bias);
      Checks.dtype("bias", bias, DType.F32);
      Checks.shape("bias", bias, experts);
      Checks.contiguous("bias", bias);
      Disjoint.check("out", out, "bias", bias);
    }
    workspace.check(weights, experts, x.size(0), options.k());
    device(stream, weights);
    Disjoint.check("out", out, "x", x);
    Disjoint.check("out", out, "logits", logits);
    CudaExperts.Call call =
        new CudaExperts.Call(
            x,
            options.k(),
            first,
            weights.experts(),
            weights.format(),
            weights.matrices(),
            workspace.buffers(),
            residual,
            alpha,
            beta,
            out);
    if (x.size(0) > 0) {
      CudaRouting.run(stream, logits, options, bias, workspace.buffers());
      CudaExperts.run(stream, call);
    }
  }

  /** Checks that weights are where a stream is. */
  static void device(CudaStream stream, CudaExpertWeights weights) {
    checkArgument(
        weights.device().equals(stream.device()),
        "weights: expected those on %s, as the stream is, got %s",
        stream.device(),
        weights.device());
  }

  /** Checks rows of tokens. */
  static void rows(
      CudaStream stream, String name, Tensor tensor, Set<DType> types, long tokens, long hidden) {
    stream.check(name, tensor);
    Checks.matrix(name, tensor, types);
    Checks.shape(name, tensor, tokens, hidden);
    boolean aligned =
        tensor.deviceAddress() % ALIGNMENT == 0
            && tensor.stride(0) * tensor.dtype().bytes() % ALIGNMENT == 0;
    checkArgument(
        aligned, "%s: expected rows at multiples of %s bytes, got %s", name, ALIGNMENT, tensor);
  }
}
