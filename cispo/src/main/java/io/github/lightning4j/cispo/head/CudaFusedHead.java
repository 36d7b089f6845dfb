package io.github.lightning4j.cispo.head;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.cispo.internal.CudaHead;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import java.util.EnumSet;
import java.util.Set;

/**
 * The forward pass of {@link FusedHead} on a GPU: log-probability, log-sum-exp and entropy of each
 * token, from hidden states and head, without the logits in memory. Calls put work on a stream and
 * return; tensors must stay open until it has ended. There is no backward pass on a GPU.
 *
 * <p><b>Numerics.</b> Logits are fp32 sums of exact products of BF16; their sums over the
 * vocabulary are fp32 within a thread and a tile, double beyond, in the same order always: the same
 * call gives the same bits. The target is kept out of the sums, so the log-probability of a nearly
 * certain token has a small relative error. Logits that are not finite make the token's outputs
 * NaN, and so does a target outside the vocabulary, since nobody on a GPU can be told of it
 * otherwise.
 *
 * <p><b>Cost.</b> {@code 2 T V H} operations on tensor cores; for few tokens the floor is one read
 * of the head. The first call with new types compiles kernels; make it before recording a graph.
 */
public final class CudaFusedHead {
  private static final Set<DType> INTEGERS = EnumSet.of(DType.I32, DType.I64);

  /** What addresses and row strides must be multiples of, in bytes. */
  private static final int ALIGNMENT = 16;

  private final CudaStream stream;

  private CudaFusedHead(CudaStream stream) {
    this.stream = stream;
  }

  /** The operator whose work goes to a stream. */
  public static CudaFusedHead on(CudaStream stream) {
    return new CudaFusedHead(stream);
  }

  /** The elements of the F32 scratch memory for T tokens over V words. */
  public long scratchElements(long tokens, long vocabulary) {
    return CudaHead.scratchElements(stream.device(), tokens, vocabulary);
  }

  /**
   * Log-probabilities, and entropies if wanted.
   *
   * @param hidden {@code [T, H]} BF16, H a multiple of 8, rows at multiples of 16 bytes
   * @param head {@code [V, H]} as hidden: a row a word
   * @param targets {@code [T]} I32 or I64, contiguous
   * @param temperature divides the logits; {@code > 0}
   * @param scratch {@code [scratchElements(T, V)]} F32, contiguous
   * @param out what is written
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit, or something
   *     overlaps
   */
  public void forward(
      Tensor hidden,
      Tensor head,
      Tensor targets,
      double temperature,
      Tensor scratch,
      HeadOutput out) {
    rows("hidden", hidden);
    rows("head", head);
    Checks.shape("head", head, head.size(0), hidden.size(1));
    checkArgument(head.elements() > 0, "head: expected a word or more of one channel, got none");
    long tokens = hidden.size(0);
    Checks.dtype("targets", targets, INTEGERS);
    dense("targets", targets, targets.dtype(), tokens);
    checkArgument(
        temperature > 0 && temperature < Double.POSITIVE_INFINITY,
        "temperature: expected a finite number > 0, got %s",
        temperature);
    dense("scratch", scratch, DType.F32, scratchElements(tokens, head.size(0)));
    apart("scratch", scratch, hidden, head, targets);
    dense("logProb", out.logProb(), DType.F32, tokens);
    apart("logProb", out.logProb(), hidden, head, targets, scratch);
    dense("logSumExp", out.logSumExp(), DType.F64, tokens);
    apart("logSumExp", out.logSumExp(), hidden, head, targets, scratch, out.logProb());
    Tensor entropy = out.entropy();
    if (entropy != null) {
      dense("entropy", entropy, DType.F32, tokens);
      apart("entropy", entropy, hidden, head, targets, scratch, out.logProb(), out.logSumExp());
    }
    if (tokens > 0) {
      CudaHead.forward(stream, hidden, head, targets, temperature, scratch, out);
    }
  }

  private void rows(String name, Tensor rows) {
    stream.check(name, rows);
    Checks.matrix(name, rows, DType.BF16);
    boolean row = rows.size(0) <= 1 || rows.stride(0) * Short.BYTES % ALIGNMENT == 0;
    boolean aligned = rows.deviceAddress() % ALIGNMENT == 0 && row;
    checkArgument(
        aligned && rows.size(1) * Short.BYTES % ALIGNMENT == 0,
        "%s: expected rows of a multiple of 8 elements that start at multiples of %s bytes, got %s;"
            + " pad with zeros",
        name,
        ALIGNMENT,
        rows);
    checkArgument(
        rows.size(0) < Integer.MAX_VALUE / 2 && rows.size(1) < Integer.MAX_VALUE / 2,
        "%s: expected a smaller matrix, got %s",
        name,
        rows);
  }

  private void dense(String name, Tensor tensor, DType type, long elements) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, type);
    Checks.shape(name, tensor, elements);
    Checks.contiguous(name, tensor);
  }

  private static void apart(String name, Tensor out, Tensor... others) {
    for (Tensor other : others) {
      checkArgument(
          !Checks.overlap(out, other),
          "%s: expected memory of its own, got an overlap with %s",
          name,
          other);
    }
  }
}
