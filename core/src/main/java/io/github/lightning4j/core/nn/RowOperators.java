package io.github.lightning4j.core.nn;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.internal.RowKernels;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/**
 * Operators over the rows of F32 activations {@code [T, H]}. Statistics are accumulated in fp32 on
 * the CPU and in double in the reference. Rows are split over the threads, so results do not depend
 * on their number. Each is bound by memory: one read and one write of its operands.
 */
public final class RowOperators {
  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private static final Set<DType> WEIGHTS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final RowKernels kernels;

  private RowOperators(RowKernels kernels) {
    this.kernels = kernels;
  }

  /** The fastest implementation of this machine. */
  public static RowOperators best() {
    return of(CoreKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static RowOperators of(Backend backend) {
    return new RowOperators(RowKernels.of(backend));
  }

  /**
   * Root mean square norm: {@code out[t] = weight * x[t] / sqrt(mean(x[t]^2) + eps)}.
   *
   * @param x {@code [T, H]} F32
   * @param weight {@code [H]} F32, BF16 or F16
   * @param eps added to the mean square, {@code >= 0}
   * @param out {@code [T, H]} F32; may be {@code x}
   * @throws IllegalArgumentException if types or shapes do not fit, or {@code out} overlaps {@code
   *     x} without being it
   */
  public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out) {
    Checks.matrix("x", x, DType.F32);
    Checks.dtype("weight", weight, WEIGHTS);
    Checks.shape("weight", weight, x.size(1));
    Checks.contiguous("weight", weight);
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, x.shape());
    checkInPlaceOrApart("x", x, out);
    checkArgument(!Checks.overlap(out, weight), "out: must not overlap weight");
    checkArgument(eps >= 0, "eps: expected >= 0, got %s", eps);
    Recording.forRanges(
        x.size(0), grain(x), (from, to) -> kernels.rmsNorm(x, weight, eps, out, from, to));
  }

  /**
   * Scaled residual sum: {@code out = alpha x + beta y}.
   *
   * @param x {@code [T, H]} F32, contiguous
   * @param y as {@code x}
   * @param out as {@code x}; may be {@code x} or {@code y}
   * @throws IllegalArgumentException if types or shapes do not fit, or {@code out} overlaps an
   *     input without being it
   */
  public void scaledSum(Tensor x, float alpha, Tensor y, float beta, Tensor out) {
    checkDense("x", x, x);
    checkDense("y", y, x);
    checkDense("out", out, x);
    Checks.writable("out", out);
    checkInPlaceOrApart("x", x, out);
    checkInPlaceOrApart("y", y, out);
    Recording.forRanges(
        x.size(0), grain(x), (from, to) -> kernels.scaledSum(x, alpha, y, beta, out, from, to));
  }

  /**
   * The sum that ends a block and the norm that begins the next, in one pass over each row: {@link
   * #scaledSum} into {@code sum} and {@link #rmsNorm} of that into {@code normed}, with the same
   * bits.
   *
   * @param x {@code [T, H]} F32, contiguous
   * @param y as {@code x}
   * @param weight {@code [H]} F32, BF16 or F16
   * @param eps added to the mean square, {@code >= 0}
   * @param sum as {@code x}; may be {@code x} or {@code y}
   * @param normed as {@code x}; may be {@code x} or {@code y}, but not {@code sum}
   * @throws IllegalArgumentException if types or shapes do not fit, or an output overlaps an input
   *     without being it, or the other output, or {@code weight}
   */
  public void sumNorm(
      Tensor x,
      float alpha,
      Tensor y,
      float beta,
      Tensor weight,
      float eps,
      Tensor sum,
      Tensor normed) {
    checkDense("x", x, x);
    checkDense("y", y, x);
    Checks.dtype("weight", weight, WEIGHTS);
    Checks.shape("weight", weight, x.size(1));
    Checks.contiguous("weight", weight);
    checkArgument(eps >= 0, "eps: expected >= 0, got %s", eps);
    for (Tensor out : List.of(sum, normed)) {
      checkDense(out == sum ? "sum" : "normed", out, x);
      Checks.writable(out == sum ? "sum" : "normed", out);
      checkInPlaceOrApart("x", x, out);
      checkInPlaceOrApart("y", y, out);
      checkArgument(!Checks.overlap(out, weight), "weight: must not overlap an output");
    }
    checkArgument(!Checks.overlap(sum, normed), "normed: must not overlap sum");
    Recording.forRanges(
        x.size(0),
        grain(x),
        (from, to) -> kernels.sumNorm(x, alpha, y, beta, weight, eps, sum, normed, from, to));
  }

  /**
   * Rotary position embedding, in place, in the half-split (NeoX) form: for each head the pairs
   * {@code (j, j + R/2)}, {@code j < R/2}, are rotated by {@code position * invFreq[j]}; channels
   * from R on stay. The angle is formed in fp32, as all published implementations do.
   *
   * @param x {@code [T, heads, D]} F32, dense last dimension
   * @param invFreq {@code [R/2]} F32 with {@code R <= D}
   * @param firstPosition the position of row 0, {@code >= 0}
   * @throws IllegalArgumentException if types or shapes do not fit
   */
  public void rope(Tensor x, Tensor invFreq, long firstPosition) {
    Checks.dtype("x", x, DType.F32);
    Checks.rank("x", x, 3);
    Checks.writable("x", x);
    Checks.denseLast("x", x);
    Checks.dtype("invFreq", invFreq, DType.F32);
    Checks.rank("invFreq", invFreq, 1);
    checkArgument(
        invFreq.size(0) * 2 <= x.size(2),
        "invFreq: expected at most %s frequencies for heads of %s, got %s",
        x.size(2) / 2,
        x.size(2),
        invFreq.size(0));
    checkArgument(!Checks.overlap(x, invFreq), "x: must not overlap invFreq");
    checkArgument(firstPosition >= 0, "firstPosition: expected >= 0, got %s", firstPosition);
    long grain = Math.max(1, GRAIN / Math.max(1, 4 * x.size(1) * x.size(2)));
    Threads.forRanges(
        x.size(0), grain, (from, to) -> kernels.rope(x, invFreq, firstPosition, from, to));
  }

  /**
   * Embedding lookup: {@code out[t] = table[ids[t]]}, widened to F32.
   *
   * @param table {@code [V, H]} F32, BF16 or F16, contiguous
   * @param ids {@code [T]} I32
   * @param out {@code [T, H]} F32
   * @throws IllegalArgumentException if types or shapes do not fit, or an id is outside {@code [0,
   *     V)}
   */
  public void gatherRows(Tensor table, Tensor ids, Tensor out) {
    Checks.matrix("table", table, WEIGHTS);
    Checks.contiguous("table", table);
    checkLookup(table.size(1), ids, out);
    checkArgument(
        !Checks.overlap(out, table) && !Checks.overlap(out, ids),
        "out: must not overlap table or ids");
    Recording.once(() -> checkIds(ids, table.size(0)));
    Recording.forRanges(
        ids.size(0), grain(out), (from, to) -> kernels.gatherRows(table, ids, out, from, to));
  }

  /**
   * Embedding lookup in a quantized table: the {@linkplain QuantizedMatrix#dequantize exact} values
   * of its rows.
   *
   * @param table {@code [V, H]}
   * @param ids {@code [T]} I32
   * @param out {@code [T, H]} F32
   * @throws IllegalArgumentException as above
   * @throws IllegalStateException if the table is closed
   */
  public void gatherRows(QuantizedMatrix table, Tensor ids, Tensor out) {
    checkLookup(table.columns(), ids, out);
    checkArgument(!Checks.overlap(out, ids), "out: must not overlap ids");
    Recording.once(() -> checkIds(ids, table.rows()));
    Recording.forRanges(
        ids.size(0),
        grain(out),
        (from, to) -> {
          Elements wanted = ids.accessor();
          for (long t = from; t < to; t++) {
            table.dequantizeRows(wanted.getLong(t), out.narrow(0, t, 1));
          }
        });
  }

  private static void checkLookup(long width, Tensor ids, Tensor out) {
    Checks.dtype("ids", ids, DType.I32);
    Checks.rank("ids", ids, 1);
    Checks.contiguous("ids", ids);
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, ids.size(0), width);
  }

  private static void checkIds(Tensor ids, long rows) {
    Elements wanted = ids.accessor();
    for (long t = 0; t < ids.size(0); t++) {
      long id = wanted.getLong(t);
      checkArgument(id >= 0 && id < rows, "ids[%s]: expected 0 <= id < %s, got %s", t, rows, id);
    }
  }

  private static void checkDense(String name, Tensor tensor, Tensor x) {
    Checks.matrix(name, tensor, DType.F32);
    Checks.shape(name, tensor, x.shape());
    Checks.contiguous(name, tensor);
  }

  /** Refuses an output that shares memory with an input of its shape without being that input. */
  static void checkInPlaceOrApart(String name, Tensor in, Tensor out) {
    long row = in.stride(0);
    long apart = Checks.distance(in, out);
    boolean same = apart == 0 && out.stride(0) == row;
    // Columns of one wider matrix interleave without sharing an element.
    long columns = row == 0 ? 0 : Math.floorMod(apart / in.dtype().bytes(), row);
    boolean beside = out.stride(0) == row && columns >= in.size(1) && columns <= row - in.size(1);
    checkArgument(
        same || beside || !Checks.overlap(in, out),
        "out: expected %s itself or memory apart from it, got an overlap",
        name);
  }

  private static long grain(Tensor x) {
    return Math.max(1, GRAIN / Math.max(1, x.size(1)));
  }
}
