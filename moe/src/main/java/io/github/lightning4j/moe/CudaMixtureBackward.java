package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.moe.internal.CudaExpertsBackward;
import io.github.lightning4j.moe.internal.CudaRoutingBackward;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/**
 * The gradients of {@link CudaMixtureOfExperts}: those of {@link MixtureOfExperts#backward} and
 * {@link Router#backward}, on a GPU. With d = dOut[t], w = weight[t, j], g = W1 x, u = W3 x, s =
 * sigmoid(g), h = g s u, q = W2^T d, for every choice j of every token t:
 *
 * <pre>
 *   dWeight[t, j] = (h, q)
 *   dg = w q u s (1 + g (1 - s))       du = w q g s
 *   dW1 += dg x^T    dW3 += du x^T     dW2 += w d h^T
 *   dx += W1^T dg + W3^T du            the path through the experts alone
 * </pre>
 *
 * <p>Routing is what the last forward call on the same workspace left there: run backward before
 * the next one. Calls put kernels on a stream and return, allocate nothing, and can be part of a
 * {@link io.github.lightning4j.core.cuda.CudaGraph}; the first call with new types or sizes
 * compiles kernels. Tensors, weights and workspace must stay open until the work has ended.
 *
 * <p><b>Numerics.</b> Products of bf16 on tensor cores with fp32 sums; g, u and q are computed
 * again and not rounded, dg, du and w h are, to bf16. Gradients of weights are fp32 sums over the
 * tokens of an expert in their order, those of tokens are added in the order of choices: no
 * atomics, nothing dropped, and the same input gives the same bits. A NaN in a token spoils the
 * gradients of its experts' weights.
 *
 * <p><b>Cost.</b> 16 T k H I operations, 4 of them to compute g and u again; 12 E H I bytes of
 * gradients are written, which bounds small batches.
 */
public final class CudaMixtureBackward {
  private static final Set<DType> OUTPUTS = EnumSet.of(DType.BF16, DType.F32);
  private static final Set<DType> BF16 = EnumSet.of(DType.BF16);

  /** What matrices and scratch memory begin at multiples of, in bytes. */
  private static final int ALIGNMENT = 16;

  private final CudaStream stream;

  private CudaMixtureBackward(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaMixtureBackward on(CudaStream stream) {
    return new CudaMixtureBackward(stream);
  }

  /**
   * The elements of the F32 scratch memory of {@link #experts}, {@code T k (I + I / 64)}.
   *
   * @param workspace gives k
   */
  public static long scratchElements(
      CudaExpertWeights weights, CudaMoeWorkspace workspace, long tokens) {
    return CudaExpertsBackward.scratchElements(tokens * workspace.k(), weights.intermediate());
  }

  /**
   * The gradients of tokens, routing weights and experts.
   *
   * @param x as given to forward
   * @param weights as given to forward, in bf16
   * @param workspace as forward left it; what it keeps of the routing stays, the rest is
   *     overwritten
   * @param dOut {@code [T, H]} BF16, rows at multiples of 16 bytes
   * @param scratch {@code [scratchElements(weights, workspace, T)]} F32, contiguous, at a multiple
   *     of 16 bytes
   * @param gradients what is written; an expert without tokens gets zeros
   * @throws IllegalArgumentException if the weights are quantized, types, shapes, alignment or
   *     devices do not fit, or something that is written overlaps another argument
   * @throws IllegalStateException if weights, workspace or a tensor are closed
   */
  public void experts(
      Tensor x,
      CudaExpertWeights weights,
      CudaMoeWorkspace workspace,
      Tensor dOut,
      Tensor scratch,
      CudaExpertGradients gradients) {
    checkArgument(
        weights.format() == null,
        "weights: quantized experts have no gradients; pass the BF16 ExpertWeights they were made"
            + " from");
    Checks.rank("x", x, 2);
    long tokens = x.size(0);
    long hidden = weights.hidden();
    long inner = weights.intermediate();
    CudaMixtureOfExperts.rows(stream, "x", x, BF16, tokens, hidden);
    CudaMixtureOfExperts.rows(stream, "dOut", dOut, BF16, tokens, hidden);
    CudaMixtureOfExperts.rows(stream, "outDx", gradients.outDx(), OUTPUTS, tokens, hidden);
    workspace.check(weights, weights.experts(), tokens, workspace.k());
    CudaMixtureOfExperts.device(stream, weights);
    long experts = weights.experts();
    dense("outDWeight", gradients.outDWeight(), tokens, workspace.k());
    aligned("outDGate", gradients.outDGate(), experts, inner, hidden);
    aligned("outDUp", gradients.outDUp(), experts, inner, hidden);
    aligned("outDDown", gradients.outDDown(), experts, hidden, inner);
    aligned("scratch", scratch, scratchElements(weights, workspace, tokens));
    apart(x, dOut, scratch, gradients);
    CudaExpertsBackward.Call call =
        new CudaExpertsBackward.Call(
            x,
            dOut,
            workspace.k(),
            weights.experts(),
            weights.matrices(),
            workspace.buffers(),
            scratch,
            gradients.outDx(),
            gradients.outDWeight(),
            List.of(gradients.outDGate(), gradients.outDUp(), gradients.outDDown()));
    if (tokens > 0) {
      CudaExpertsBackward.run(stream, call);
    } else {
      call.dMatrices().forEach(stream::clear);
    }
  }

  /**
   * The gradient of the logits from that of the routing weights; choice and bias have none. The
   * formulas are those of {@link Router#backward(Tensor, RouterOptions, Tensor, Tensor, Tensor)},
   * in fp32. A token that forward could not route has NaN at the experts 0 to k - 1.
   *
   * @param logits as given to forward
   * @param options as given to forward
   * @param workspace as forward left it
   * @param dWeight {@code [T, k]} F32, contiguous
   * @param outDLogits {@code [T, E]} F32, overwritten
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or {@code outDLogits}
   *     overlaps another argument
   * @throws IllegalStateException if the workspace or a tensor is closed
   */
  public void router(
      Tensor logits,
      RouterOptions options,
      CudaMoeWorkspace workspace,
      Tensor dWeight,
      Tensor outDLogits) {
    stream.check("logits", logits);
    Checks.matrix("logits", logits, DType.F32);
    options.check(logits.size(1));
    workspace.check(stream.device(), logits.size(1), logits.size(0), options.k());
    dense("dWeight", dWeight, logits.size(0), options.k());
    stream.check("outDLogits", outDLogits);
    Checks.matrix("outDLogits", outDLogits, DType.F32);
    Checks.shape("outDLogits", outDLogits, logits.shape());
    Disjoint.check("outDLogits", outDLogits, "logits", logits);
    Disjoint.check("outDLogits", outDLogits, "dWeight", dWeight);
    if (logits.size(0) > 0) {
      CudaRoutingBackward.run(stream, logits, options, workspace.buffers(), dWeight, outDLogits);
    }
  }

  private void dense(String name, Tensor tensor, long... shape) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, shape);
    Checks.contiguous(name, tensor);
  }

  private void aligned(String name, Tensor tensor, long... shape) {
    dense(name, tensor, shape);
    checkArgument(
        tensor.deviceAddress() % ALIGNMENT == 0,
        "%s: expected memory at a multiple of %s bytes, got %s",
        name,
        ALIGNMENT,
        tensor);
  }

  private static void apart(Tensor x, Tensor dOut, Tensor scratch, CudaExpertGradients gradients) {
    Map<String, Tensor> taken = new LinkedHashMap<>();
    taken.put("x", x);
    taken.put("dOut", dOut);
    Map<String, Tensor> written = new LinkedHashMap<>();
    written.put("outDx", gradients.outDx());
    written.put("outDWeight", gradients.outDWeight());
    written.put("outDGate", gradients.outDGate());
    written.put("outDUp", gradients.outDUp());
    written.put("outDDown", gradients.outDDown());
    written.put("scratch", scratch);
    written.forEach(
        (name, out) -> {
          taken.forEach((other, tensor) -> Disjoint.check(name, out, other, tensor));
          taken.put(name, out);
        });
  }
}
