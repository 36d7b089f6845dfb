package io.github.lightning4j.moe.loss;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.moe.RouterOptions.Score;
import io.github.lightning4j.moe.internal.CudaAux;
import io.github.lightning4j.moe.internal.CudaRouting;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * {@link AuxLoss} on a GPU, one layer a call, over the tokens of that call: balance losses and
 * z-losses of {@link Scope#MICRO_BATCH}, and the gradient of their sum.
 *
 * <p>A call puts three kernels on a stream and returns; it can be part of a {@link
 * io.github.lightning4j.core.cuda.CudaGraph}. Sums over sequences or ranks, and layers that are
 * pooled, are the CPU's.
 *
 * <p><b>Numerics.</b> The formulas of the CPU in double, sums in one order: the same bits always;
 * gradients are rounded once. A token whose logits are NaN, positive infinity or all negative
 * infinity makes its own gradient NaN and the values too, which {@link #values} then refuses.
 *
 * <p><b>Cost.</b> 8 E bytes a token read, 4 E written; 2 E exponentials, 4 E with sigmoids.
 */
public final class CudaAuxLoss {
  private final CudaStream stream;
  private final Score score;
  private final List<LossTerm> terms;

  private CudaAuxLoss(CudaStream stream, Score score, List<LossTerm> terms) {
    this.stream = stream;
    this.score = score;
    this.terms = terms;
  }

  /**
   * These terms, over softmax probabilities.
   *
   * @throws IllegalArgumentException if there is none, or one is of another scope than the
   *     micro-batch or pools layers
   */
  public static CudaAuxLoss on(CudaStream stream, LossTerm... terms) {
    checkArgument(terms.length > 0, "terms: expected at least one, got none");
    for (LossTerm term : terms) {
      boolean pooled =
          term instanceof BalanceLoss of && of.normalization() == Normalization.HF_POOLED;
      checkArgument(
          term.scope() == Scope.MICRO_BATCH && !pooled,
          "terms: expected the scope MICRO_BATCH and layers that are not pooled, got %s; evaluate"
              + " it with AuxLoss",
          term);
    }
    return new CudaAuxLoss(stream, Score.SOFTMAX, List.of(terms));
  }

  /** The same for another score, as {@link AuxLoss#withScore}. */
  public CudaAuxLoss withScore(Score newScore) {
    return new CudaAuxLoss(stream, requireNonNull(newScore, "newScore"), terms);
  }

  /** The elements of the F64 scratch memory for T tokens and E experts. */
  public long scratchElements(long tokens, long experts) {
    return CudaAux.scratchElements(tokens, experts);
  }

  /**
   * The gradient of the total, and in the scratch memory what {@link #values} reads.
   *
   * @param logits {@code [T, E]} F32, E at most 1024
   * @param index {@code [T, k]} I32, the router's choice, as {@link
   *     io.github.lightning4j.moe.CudaMoeWorkspace#index} has it; one outside {@code [0, E)} counts
   *     for no expert
   * @param mask {@code [T]} I32, contiguous: tokens with 0 do not count; null if all do
   * @param scratch {@code [scratchElements(T, E)]} F64, contiguous; one for each layer whose values
   *     are wanted
   * @param outDLogits {@code [T, E]} F32; tokens that do not count get zeros
   * @param add whether {@code outDLogits} keeps what it holds and the gradient is added
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or something that is
   *     written overlaps another argument
   */
  public void evaluate(
      Tensor logits,
      Tensor index,
      @Nullable Tensor mask,
      Tensor scratch,
      Tensor outDLogits,
      boolean add) {
    matrix("logits", logits, DType.F32);
    matrix("index", index, DType.I32);
    long tokens = logits.size(0);
    long experts = logits.size(1);
    checkArgument(
        experts >= 1 && experts <= CudaRouting.MOST_EXPERTS,
        "logits: expected 1 to %s experts, got %s",
        CudaRouting.MOST_EXPERTS,
        experts);
    long k = index.size(1);
    checkArgument(k >= 1 && k <= experts, "index: expected 1 <= k <= %s, got k = %s", experts, k);
    Checks.shape("index", index, tokens, k);
    if (mask != null) {
      dense("mask", mask, DType.I32, tokens);
    }
    dense("scratch", scratch, DType.F64, scratchElements(tokens, experts));
    matrix("outDLogits", outDLogits, DType.F32);
    Checks.shape("outDLogits", outDLogits, logits.shape());
    apart("scratch", scratch, logits, index, mask);
    apart("outDLogits", outDLogits, logits, index, mask, scratch);
    double weight = 0;
    double zWeight = 0;
    for (LossTerm term : terms) {
      if (term instanceof BalanceLoss of) {
        weight += of.coefficient() * factor(of, experts, k);
      } else {
        zWeight += term.coefficient();
      }
    }
    CudaAux.run(
        stream,
        score,
        new CudaAux.Call(logits, index, mask, weight, zWeight, scratch, outDLogits, add));
  }

  private static double factor(BalanceLoss term, long experts, long k) {
    return term.normalization() == Normalization.SWITCH ? (double) experts / k : 1.0 / experts;
  }

  /**
   * What {@link #evaluate} found; waits for the stream.
   *
   * @param scratch as given to evaluate
   * @param experts E
   * @param k the choices of a token
   * @throws IllegalArgumentException if no token counts, or one that counts has logits as above
   */
  public LossValues values(Tensor scratch, long experts, long k) {
    stream.check("scratch", scratch);
    Checks.dtype("scratch", scratch, DType.F64);
    double[] found;
    try (Tensor host = Tensor.allocate(DType.F64, CudaAux.VALUES)) {
      stream.copy(scratch.narrow(0, 0, CudaAux.VALUES), host);
      stream.synchronize();
      found = host.toDoubles();
    }
    checkArgument(found[2] > 0, "mask: expected at least one token that counts, got none");
    checkArgument(
        Double.isFinite(found[0]) && Double.isFinite(found[1]),
        "logits: expected numbers below infinity, one of each token finite, got a balance of %s and"
            + " a z of %s",
        found[0],
        found[1]);
    List<Double> values = new ArrayList<>();
    double total = 0;
    for (LossTerm term : terms) {
      double value = term instanceof BalanceLoss of ? factor(of, experts, k) * found[0] : found[1];
      values.add(value);
      total += term.coefficient() * value;
    }
    return new LossValues(values, total);
  }

  private void matrix(String name, Tensor tensor, DType type) {
    stream.check(name, tensor);
    Checks.matrix(name, tensor, type);
  }

  private void dense(String name, Tensor tensor, DType type, long elements) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, type);
    Checks.shape(name, tensor, elements);
    Checks.contiguous(name, tensor);
  }

  private static void apart(String name, Tensor out, @Nullable Tensor... others) {
    Checks.writable(name, out);
    for (Tensor other : others) {
      checkArgument(
          other == null || !Checks.overlap(out, other),
          "%s: expected memory of its own, got an overlap with %s",
          name,
          other);
    }
  }
}
