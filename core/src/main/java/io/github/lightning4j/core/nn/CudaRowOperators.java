package io.github.lightning4j.core.nn;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.internal.CudaRows;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * Operators over the rows of activations {@code [T, H]} on a GPU: what {@link RowOperators} is for
 * the CPU, and what greedy decoding needs besides. Calls put work on a stream and return; tensors
 * must stay open until it has ended.
 *
 * <p>Activations are F32, BF16 or F16, all of one call the same; weights may be of another of these
 * types. All arithmetic is fp32 and each result is rounded once, to nearest even. Each operator is
 * bound by memory: its operands are read and written once, 16 bytes a thread where addresses, rows
 * and widths are multiples of that. Sums are formed in the same order always, so the same input
 * gives the same bits.
 *
 * <p>T = 0 and H = 0 do nothing. The first call with new types or widths compiles kernels, see
 * {@link io.github.lightning4j.core.cuda.kernel.KernelModule}; make it before recording a graph.
 */
public final class CudaRowOperators {
  /** What an argmax block reads at least, so that small rows take few of them. */
  private static final int ARGMAX_GRAIN = 4096;

  private static final int ARGMAX_PARTS = 64;

  private static final Set<DType> FLOATS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaStream stream;
  private final CudaRows kernels;

  private CudaRowOperators(CudaStream stream) {
    this.stream = stream;
    this.kernels = new CudaRows(stream);
  }

  /** Operators whose work goes to a stream. */
  public static CudaRowOperators on(CudaStream stream) {
    return new CudaRowOperators(stream);
  }

  /**
   * Root mean square norm: {@code out[t] = weight * x[t] / sqrt(mean(x[t]^2) + eps)}.
   *
   * @param x {@code [T, H]}
   * @param weight {@code [H]}, contiguous
   * @param eps added to the mean square, {@code >= 0}
   * @param out {@code [T, H]} of the type of x; may be {@code x}
   * @throws IllegalArgumentException if types, shapes or devices do not fit, or {@code out}
   *     overlaps an input without being it
   */
  public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out) {
    rows("x", x, x);
    stream.check("weight", weight);
    Checks.dtype("weight", weight, FLOATS);
    Checks.shape("weight", weight, x.size(1));
    Checks.contiguous("weight", weight);
    output(out, x, x);
    apart("weight", weight, out);
    checkArgument(eps >= 0, "eps: expected >= 0, got %s", eps);
    if (x.elements() > 0) {
      kernels.rmsNorm(x, weight, eps, out);
    }
  }

  /**
   * Scaled residual sum: {@code out = alpha x + beta y}.
   *
   * @param x {@code [T, H]}, contiguous
   * @param y as {@code x}
   * @param out as {@code x}; may be {@code x} or {@code y}
   * @throws IllegalArgumentException as above
   */
  public void scaledSum(Tensor x, float alpha, Tensor y, float beta, Tensor out) {
    rows("x", x, x);
    rows("y", y, x);
    output(out, x, x, y);
    Checks.contiguous("x", x);
    Checks.contiguous("y", y);
    Checks.contiguous("out", out);
    if (x.elements() > 0) {
      kernels.scaledSum(x, alpha, y, beta, out);
    }
  }

  /**
   * The gate of a SwiGLU feed-forward: {@code out[t] = silu(gate[t]) * up[t]} with {@code silu(x) =
   * x / (1 + e^-x)}.
   *
   * @param gate {@code [T, F]}; gate and up may be halves of one matrix
   * @param up as {@code gate}
   * @param out as {@code gate}; may be {@code gate} or {@code up}
   * @throws IllegalArgumentException as above
   */
  public void siluGate(Tensor gate, Tensor up, Tensor out) {
    rows("gate", gate, gate);
    rows("up", up, gate);
    output(out, gate, gate, up);
    if (gate.elements() > 0) {
      kernels.siluGate(gate, up, out);
    }
  }

  /**
   * Rotary position embedding, in place, as {@link RowOperators#rope} has it.
   *
   * @param x {@code [T, heads, D]}, dense last dimension
   * @param invFreq {@code [R/2]} F32 with {@code R <= D}
   * @param positions {@code [T]} I32: the position of each row, read when the kernel runs; null for
   *     {@code firstPosition + t}
   * @param firstPosition the position of row 0 where there are no positions, {@code >= 0}
   * @throws IllegalArgumentException if types, shapes or devices do not fit
   */
  public void rope(Tensor x, Tensor invFreq, @Nullable Tensor positions, long firstPosition) {
    stream.check("x", x);
    Checks.dtype("x", x, FLOATS);
    Checks.rank("x", x, 3);
    Checks.denseLast("x", x);
    stream.check("invFreq", invFreq);
    Checks.dtype("invFreq", invFreq, DType.F32);
    Checks.rank("invFreq", invFreq, 1);
    Checks.contiguous("invFreq", invFreq);
    checkArgument(
        invFreq.size(0) * 2 <= x.size(2),
        "invFreq: expected at most %s frequencies for heads of %s, got %s",
        x.size(2) / 2,
        x.size(2),
        invFreq.size(0));
    apart("invFreq", invFreq, x);
    if (positions != null) {
      ids("positions", positions, x.size(0));
    }
    checkArgument(firstPosition >= 0, "firstPosition: expected >= 0, got %s", firstPosition);
    if (x.elements() > 0 && invFreq.elements() > 0) {
      kernels.rope(x, invFreq, positions, firstPosition);
    }
  }

  /**
   * Embedding lookup: {@code out[t] = table[ids[t]]}. The ids are on the GPU and nothing waits for
   * them, so an id outside the table cannot be refused: its row becomes NaN.
   *
   * @param table {@code [V, H]}, contiguous
   * @param ids {@code [T]} I32
   * @param out {@code [T, H]}
   * @throws IllegalArgumentException if types, shapes or devices do not fit
   */
  public void gatherRows(Tensor table, Tensor ids, Tensor out) {
    stream.check("table", table);
    Checks.matrix("table", table, FLOATS);
    Checks.contiguous("table", table);
    ids("ids", ids, ids.elements());
    stream.check("out", out);
    Checks.matrix("out", out, FLOATS);
    Checks.shape("out", out, ids.size(0), table.size(1));
    apart("table", table, out);
    apart("ids", ids, out);
    if (out.elements() > 0) {
      kernels.gatherRows(table, ids, out);
    }
  }

  /**
   * The index of the largest logit of each row, the smallest of equals; -1 for a row with a NaN.
   *
   * @param logits {@code [B, V]}, V at least 1
   * @param scratch {@code [B, P]} I64, contiguous, with P from {@link #argmaxParts}
   * @param out {@code [B]} I32
   * @throws IllegalArgumentException if types, shapes or devices do not fit
   */
  public void argmax(Tensor logits, Tensor scratch, Tensor out) {
    rows("logits", logits, logits);
    checkArgument(logits.size(1) >= 1, "logits: expected at least one a row, got %s", logits);
    stream.check("scratch", scratch);
    Checks.dtype("scratch", scratch, DType.I64);
    Checks.shape("scratch", scratch, logits.size(0), argmaxParts(logits.size(1)));
    Checks.contiguous("scratch", scratch);
    ids("out", out, logits.size(0));
    apart("logits", logits, scratch);
    apart("logits", logits, out);
    apart("scratch", scratch, out);
    if (logits.size(0) > 0) {
      kernels.argmax(logits, scratch, out);
    }
  }

  /** How many parts of a row of logits are looked at side by side. */
  public static int argmaxParts(long logits) {
    return (int) Math.min(ARGMAX_PARTS, (logits + ARGMAX_GRAIN - 1) / ARGMAX_GRAIN);
  }

  private void rows(String name, Tensor tensor, Tensor like) {
    stream.check(name, tensor);
    Checks.matrix(name, tensor, FLOATS);
    Checks.dtype(name, tensor, like.dtype());
    Checks.shape(name, tensor, like.shape());
    checkArgument(
        tensor.size(1) <= Integer.MAX_VALUE / 2, "%s: expected shorter rows, got %s", name, tensor);
  }

  private void ids(String name, Tensor tensor, long count) {
    stream.check(name, tensor);
    Checks.dtype(name, tensor, DType.I32);
    Checks.shape(name, tensor, count);
    Checks.contiguous(name, tensor);
  }

  private void output(Tensor out, Tensor like, Tensor... inputs) {
    rows("out", out, like);
    for (Tensor input : inputs) {
      RowOperators.checkInPlaceOrApart("an input", input, out);
    }
  }

  private static void apart(String name, Tensor input, Tensor out) {
    checkArgument(!Checks.overlap(input, out), "%s: must not overlap what is written", name);
  }
}
