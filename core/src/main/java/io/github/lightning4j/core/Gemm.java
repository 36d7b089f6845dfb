package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.internal.CpuGemm;
import io.github.lightning4j.core.internal.DnnlGemm;
import io.github.lightning4j.core.internal.GemmKernel;
import io.github.lightning4j.core.internal.QuantKernels;
import io.github.lightning4j.core.internal.ReferenceGemm;
import io.github.lightning4j.core.internal.TileGemm;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.function.IntToLongFunction;

/**
 * The matrix product of a linear layer without bias.
 *
 * <pre>out[m, n] = sum_k a[m, k] w[n, k]        a [M, K], w [N, K] (rows = outputs), out [M, N]
 * </pre>
 *
 * <p>Activations and output are F32; weights F32, BF16 or F16, or quantized. The last dimension of
 * each must be dense; row strides are free. Cost: 2 M N K operations; for small M the floor is one
 * read of the weights. Numerics: products and sums in fp32 on the CPU (16-bit weights are widened
 * exactly), in double in the reference. The work is split along N, so results do not depend on the
 * number of threads.
 *
 * <p>On the CPU, up to {@value #SMALL} rows run in an own kernel that reads the weights once; more
 * rows go to oneDNN where it is on the class path, to the own kernel where it is not. Where the CPU
 * has AMX tiles, more rows against BF16 weights run in those, with activations as sums of BF16 (see
 * {@link io.github.lightning4j.core.kernel.Bf16Products}; three by default, which are all digits of
 * an fp32): there subnormals count as zeros, activations beyond the largest BF16 as infinite, and
 * an infinite weight may give NaN.
 */
public final class Gemm {
  /** Up to this many rows the own kernel runs. */
  static final int SMALL = 16;

  /** Multiply-adds below which one thread is faster than two. */
  private static final long GRAIN = 1 << 17;

  private static final Set<DType> WEIGHTS = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private static final GemmKernel REFERENCE = new ReferenceGemm();
  private static final GemmKernel OWN = new CpuGemm();
  private static final GemmKernel ONE_DNN = new DnnlGemm();

  private final GemmKernel small;
  private final QuantKernels quantized;

  private Gemm(GemmKernel small, QuantKernels quantized) {
    this.small = small;
    this.quantized = quantized;
  }

  /** The fastest implementation of this machine. */
  public static Gemm best() {
    return of(CoreKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static Gemm of(Backend backend) {
    return new Gemm(
        CoreKernels.library().choose(backend, REFERENCE, OWN), QuantKernels.of(backend));
  }

  /** Whether native kernels serve this artifact, and if not, why. */
  public static Availability availability() {
    return CoreKernels.library().availability();
  }

  /** Whether oneDNN serves large products, and if not, why. */
  public static Availability oneDnn() {
    return DnnlGemm.availability();
  }

  /**
   * Computes {@code out = a w^T}.
   *
   * @param a activations {@code [M, K]}, F32
   * @param w weights {@code [N, K]}, F32, BF16 or F16
   * @param out {@code [M, N]}, F32; must not overlap {@code a}
   * @throws IllegalArgumentException if types, shapes, strides or devices do not fit
   * @throws OutOfNativeMemoryException if there is no memory for the panels of many rows
   */
  public void multiply(Tensor a, Tensor w, Tensor out) {
    check(a, w, out);
    if (a.size(0) > 0) {
      try (GemmKernel kernel = kernel(a, List.of(w))) {
        Recording.forRanges(
            w.size(0),
            grain(a, DnnlGemm.PANEL),
            (from, to) -> kernel.multiply(a, w, out, from, to));
      }
    }
  }

  /**
   * Computes {@code out[i] = a w[i]^T} for several weights, which the threads share out among them
   * at once: for few rows they would otherwise wait for each other after each.
   *
   * @param a as above
   * @param weights as above, each
   * @param outs as many, as above, each; must not overlap each other
   * @throws IllegalArgumentException as above, or if there are not as many outputs as weights
   * @throws OutOfNativeMemoryException as above
   */
  public void multiplyAll(Tensor a, List<Tensor> weights, List<Tensor> outs) {
    List<Tensor> w = List.copyOf(weights);
    List<Tensor> out = List.copyOf(outs);
    checkSame(w, out);
    for (int i = 0; i < w.size(); i++) {
      check(a, w.get(i), out.get(i));
    }
    if (a.size(0) > 0) {
      long[] ends = ends(a, DnnlGemm.PANEL, w.size(), i -> w.get(i).size(0));
      try (GemmKernel kernel = kernel(a, w)) {
        spread(
            a,
            DnnlGemm.PANEL,
            ends,
            (i, from, to) ->
                kernel.multiply(a, w.get(i), out.get(i), from, Math.min(to, w.get(i).size(0))));
      }
    }
  }

  private static void checkSame(List<?> w, List<Tensor> out) {
    checkArgument(
        w.size() == out.size() && !w.isEmpty(),
        "out: expected one for each of %s weights, got %s",
        w.size(),
        out.size());
    for (int i = 1; i < out.size(); i++) {
      for (int j = 0; j < i; j++) {
        checkArgument(
            !Checks.overlap(out.get(i), out.get(j)), "out[%s]: must not overlap out[%s]", i, j);
      }
    }
  }

  private static void check(Tensor a, Tensor w, Tensor out) {
    Checks.matrix("a", a, DType.F32);
    Checks.matrix("w", w, WEIGHTS);
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("w", w, w.size(0), a.size(1));
    Checks.shape("out", out, a.size(0), w.size(0));
    Checks.sameDevice("w", w, "a", a);
    Checks.sameDevice("out", out, "a", a);
    checkArgument(
        !Checks.overlap(out, a) && !Checks.overlap(out, w), "out: must not overlap a or w");
  }

  /** Output columns worth handing out, in whole blocks. */
  private static long grain(Tensor a, long panel) {
    long columns = Math.max(1, GRAIN / Math.max(1, a.size(0) * a.size(1)));
    return blocks(a, panel, columns);
  }

  /**
   * Rounds up to blocks. The own kernels go over 8 rows of weights at a time for one row of
   * activations, 2, 3 or 4 for more. Many rows go over panels of weights: those of oneDNN must be
   * the same for any number of threads, or last bits differ.
   */
  private static long blocks(Tensor a, long panel, long columns) {
    long block = a.size(0) > SMALL ? panel : a.size(0) >= 4 ? 48 : 16;
    return (columns + block - 1) / block * block;
  }

  /** Where each of several matrices ends on the line of their rows, in whole blocks. */
  private static long[] ends(Tensor a, long panel, int count, IntToLongFunction rows) {
    long[] ends = new long[count];
    long end = 0;
    for (int i = 0; i < count; i++) {
      end += blocks(a, panel, rows.applyAsLong(i));
      ends[i] = end;
    }
    return ends;
  }

  /** A stretch of the output columns of one of several products. */
  @FunctionalInterface
  private interface Part {
    void run(int product, long from, long to);
  }

  /** Runs all parts; a matrix is padded to whole blocks, so a part may reach beyond its rows. */
  private static void spread(Tensor a, long panel, long[] ends, Part part) {
    Recording.forRanges(
        ends[ends.length - 1],
        grain(a, panel),
        (from, to) -> {
          for (int i = 0; i < ends.length; i++) {
            long first = i == 0 ? 0 : ends[i - 1];
            if (from < ends[i] && to > first) {
              part.run(i, Math.max(from, first) - first, Math.min(to, ends[i]) - first);
            }
          }
        });
  }

  /**
   * Computes {@code out = a w^T} over quantized weights.
   *
   * <p>Numerics: on the CPU the rows of {@code a} are rounded to integers with a scale for each 32,
   * 64 or 128 neighbours (as the weights are grouped), {@code q = round(x c / m)} to the nearest,
   * ties to even, where m is their largest magnitude. Products are exact integers within such a
   * block, and blocks are added in fp32.
   *
   * <ul>
   *   <li>Weights of 8 bits: c = 32767. The normalized mean square error against the exact product
   *       over the {@linkplain QuantizedMatrix#dequantize dequantized} weights is about 5e-10 for
   *       normal activations; for a block with one large activation and little else 1e-8, in the
   *       mean over weights without a bias, and three times that if all others lie half a step off.
   *   <li>Weights of 4 bits: c = 127. An activation is off by at most m / 254, and the error is
   *       some 2e-5 to 5e-5 for normal activations, a hundredth of what 4 bits cost the weights; a
   *       block of g with one large activation and little else comes to some g / 1.9e5, in the same
   *       mean, and three times that at worst. Against the exact product with the rounded
   *       activations it is 1e-10.
   * </ul>
   *
   * <p>Up to {@value #SMALL} rows give each the bits it has alone; more rows are summed in another
   * order, which does not depend on their number either. The reference rounds nothing and adds in
   * double. A row of {@code a} with NaN or infinity gives outputs that are not finite, in that row
   * alone.
   *
   * @param a activations {@code [M, K]}, F32
   * @param w weights {@code [N, K]}
   * @param out {@code [M, N]}, F32; must not overlap {@code a}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   * @throws IllegalStateException if {@code w} or a tensor is closed
   * @throws OutOfNativeMemoryException if there is no memory for the rounded rows
   */
  public void multiply(Tensor a, QuantizedMatrix w, Tensor out) {
    check(a, w, out);
    multiplyChecked(a, List.of(w), List.of(out));
  }

  /**
   * As {@link #multiplyAll(Tensor, List, List)}, over quantized weights.
   *
   * @param a as above
   * @param weights as above, each
   * @param outs as many, as above, each; must not overlap each other
   * @throws IllegalArgumentException as above, or if there are not as many outputs as weights
   * @throws IllegalStateException as above
   * @throws OutOfNativeMemoryException as above
   */
  public void multiplyAllQuantized(Tensor a, List<QuantizedMatrix> weights, List<Tensor> outs) {
    List<QuantizedMatrix> w = List.copyOf(weights);
    List<Tensor> out = List.copyOf(outs);
    checkSame(w, out);
    for (int i = 0; i < w.size(); i++) {
      check(a, w.get(i), out.get(i));
    }
    multiplyChecked(a, w, out);
  }

  private void multiplyChecked(Tensor a, List<QuantizedMatrix> w, List<Tensor> out) {
    if (a.size(0) == 0) {
      return;
    }
    long block = quantized.blockRows();
    long[] ends = ends(a, block, w.size(), i -> w.get(i).rows());
    try (QuantKernels.Product product = quantized.product(a, w)) {
      spread(
          a,
          block,
          ends,
          (i, from, to) -> product.multiply(i, out.get(i), from, Math.min(to, w.get(i).rows())));
    }
  }

  private static void check(Tensor a, QuantizedMatrix w, Tensor out) {
    Checks.matrix("a", a, DType.F32);
    Checks.shape("a", a, a.size(0), w.columns());
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, a.size(0), w.rows());
    Checks.sameDevice("out", out, "a", a);
    checkArgument(!Checks.overlap(out, a), "out: must not overlap a");
    w.descriptor(); // refuses a closed matrix
  }

  /** oneDNN is not even loaded before it is of use: that takes longer than many a product. */
  private GemmKernel kernel(Tensor a, List<Tensor> w) {
    if (small != OWN || a.size(0) <= SMALL || a.size(1) == 0) {
      return small;
    }
    if (TileGemm.isAvailable() && w.stream().allMatch(each -> each.dtype() == DType.BF16)) {
      return new TileGemm(a);
    }
    return DnnlGemm.availability().isAvailable() ? ONE_DNN : small;
  }
}
