package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.attention.internal.GatedNormKernel;
import io.github.lightning4j.attention.internal.NormBackwardCall;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import org.jspecify.annotations.Nullable;

/**
 * The norm that follows lightning attention, with its gate, in one pass over memory; and its
 * gradients.
 *
 * <pre>out[t] = sigmoid(gate[t]) * weight * x[t] / sqrt(mean(x[t]^2) + eps)        rows [T, N]
 * </pre>
 *
 * <p>In the models a row is all heads of a token side by side, {@code N = H Dv}: one norm over all
 * of them, not one a head.
 *
 * <p><b>Types.</b> Each argument is F32, BF16 or F16, in these mixes: {@code gate} has the type of
 * {@code x} unless one of the two is F32; {@code out} and {@code dOut} have the type of {@code x}
 * or F32; {@code outDx} has the type of {@code x}, {@code outDGate} that of {@code gate}; {@code
 * weight} has any; {@code outDWeight} is F32. The reference takes F64 as one more such type, for
 * {@code outDWeight} too.
 *
 * <p><b>Numerics.</b> Arithmetic is fp32 on the CPU and double in the reference; results are
 * rounded once, to nearest even, as they are stored; what is too large for F16 becomes infinite.
 * Sums of squares must not leave the range of fp32: on the CPU the root mean square of a row is to
 * be at most 1e15 and, where {@code eps} is below 1e-30, at least 1e-18. A row of zeros with {@code
 * eps = 0} is 0/0, NaN. Results are the same bits for any number of threads.
 *
 * <p>A NaN or infinity in a row of {@code x} spoils that row only. A NaN in {@code gate} spoils its
 * element only; an infinite gate is open or shut. In the gradients a NaN in a row of any argument
 * reaches that row only, and what it adds to {@code outDWeight}.
 */
public final class GatedRmsNorm {
  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  /** The fewest rows, and the most parts, over which the gradient of the weight is summed. */
  private static final long PART_ROWS = 16;

  private static final long MAX_PARTS = 128;

  private final GatedNormKernel kernel;

  private GatedRmsNorm(GatedNormKernel kernel) {
    this.kernel = kernel;
  }

  /** The fastest implementation of this machine. */
  public static GatedRmsNorm best() {
    return of(AttentionKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static GatedRmsNorm of(Backend backend) {
    return new GatedRmsNorm(GatedNormKernel.of(backend));
  }

  /**
   * Normalises rows.
   *
   * @param x {@code [T, N]}, dense last dimension
   * @param gate {@code [T, N]}, before the sigmoid; null for no gate
   * @param weight {@code [N]}, contiguous
   * @param eps added to the mean square, {@code >= 0} and finite; the released models' code has
   *     1e-6 here, vLLM 1e-5
   * @param out {@code [T, N]}; may be {@code x} or {@code gate}, if it has that type
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or {@code out}
   *     overlaps something it is not
   */
  public void apply(Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out) {
    NormArguments.apply(kernel.types(), x, gate, weight, eps, out);
    Threads.forRanges(
        x.size(0),
        grain(x.size(1)),
        (from, to) -> kernel.apply(x, gate, weight, eps, out, from, to));
  }

  /**
   * The gradients of a loss whose gradient over {@link #apply}'s {@code out} is {@code dOut}. With
   * {@code r = 1 / sqrt(mean(x[t]^2) + eps)}, {@code n = x[t] r} and {@code s = sigmoid(gate[t])}
   * (1 without a gate), element by element in row t:
   *
   * <pre>
   * dx[t]    = r (a - n mean(a n)),   a = dOut[t] s weight
   * dGate[t] = dOut[t] weight n s (1 - s)
   * dWeight  = sum over t of dOut[t] s n
   * </pre>
   *
   * <p>The outputs are overwritten, not added to. Products of {@code dWeight} are formed in fp32 on
   * the CPU and summed in double: over at most 128 parts of the rows, cut by their number alone,
   * then over the parts in order. That takes 8 bytes of working memory for each part and column
   * during the call; a gate takes 4 for each column and thread, kept for later calls.
   *
   * @param x as {@link #apply} had it
   * @param gate as {@link #apply} had it
   * @param weight as {@link #apply} had it
   * @param eps as {@link #apply} had it
   * @param dOut {@code [T, N]}
   * @param outDx {@code [T, N]}; may be {@code dOut}, if it has that type
   * @param outDGate {@code [T, N]}; null if, and only if, {@code gate} is
   * @param outDWeight {@code [N]}, contiguous; null if not wanted
   * @throws IllegalArgumentException if types, shapes or devices do not fit, an output overlaps
   *     anything else than said here, or {@code outDGate} is there without {@code gate} or missing
   *     with it
   * @throws io.github.lightning4j.core.OutOfNativeMemoryException if the system refuses that memory
   */
  public void backward(
      Tensor x,
      @Nullable Tensor gate,
      Tensor weight,
      float eps,
      Tensor dOut,
      Tensor outDx,
      @Nullable Tensor outDGate,
      @Nullable Tensor outDWeight) {
    NormBackwardCall call = new NormBackwardCall(x, gate, weight, eps, dOut, outDx, outDGate);
    NormArguments.backward(kernel.types(), call, outDWeight);
    if (outDWeight == null) {
      Threads.forRanges(
          x.size(0), grain(x.size(1)), (from, to) -> kernel.backward(call, null, from, to));
    } else {
      backwardByParts(call, outDWeight);
    }
  }

  private void backwardByParts(NormBackwardCall call, Tensor outDWeight) {
    long rows = call.x().size(0);
    long columns = call.x().size(1);
    long partRows = Math.max(PART_ROWS, ceilDiv(rows, MAX_PARTS));
    long count = ceilDiv(rows, partRows);
    try (Tensor parts = Tensor.allocate(DType.F64, Math.max(1, count), columns)) {
      Threads.forRanges(
          count,
          grain(partRows * columns),
          (from, to) -> {
            for (long part = from; part < to; part++) {
              long end = Math.min(rows, (part + 1) * partRows);
              kernel.backward(call, parts.select(0, part), part * partRows, end);
            }
          });
      Threads.forRanges(
          columns, grain(count), (from, to) -> kernel.addUp(parts, outDWeight, from, to));
    }
  }

  /** How many items of a size are worth a thread. */
  private static long grain(long elements) {
    return Math.max(1, GRAIN / Math.max(1, elements));
  }

  private static long ceilDiv(long a, long b) {
    return (a + b - 1) / b;
  }
}
