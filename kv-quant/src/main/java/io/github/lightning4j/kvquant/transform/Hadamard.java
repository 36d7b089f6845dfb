package io.github.lightning4j.kvquant.transform;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.internal.HadamardMatrix;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.internal.TransformKernels;

/**
 * The fast Walsh-Hadamard transform of blocks of channels.
 *
 * <pre>out[t, block] = Had(n) x[t, block]      for every block of n neighbours</pre>
 *
 * <p>Had(n) is the Sylvester matrix over {@code sqrt(n)} for {@code n = 2^k}; for {@code n = 12
 * 2^k} the Kronecker product of a symmetric Hadamard matrix of order 12 (Paley's second
 * construction) with it. Symmetric and orthogonal, so it is its own inverse and keeps lengths and
 * dot products. No random signs: they would hide the channels' means, by which RotateKV orders
 * them.
 *
 * <p>Numerics: fp32 sums on the CPU, double in the reference; the same bits for any number of
 * threads. Cost: {@code n log2 n} additions a block; for blocks up to 4096 bound by memory, one
 * read and one write.
 */
public final class Hadamard {
  /** The largest block. */
  public static final int MAX_SIZE = 4096;

  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private final TransformKernels kernels;

  private Hadamard(TransformKernels kernels) {
    this.kernels = kernels;
  }

  /** The fastest implementation of this machine. */
  public static Hadamard best() {
    return of(KvQuantKernels.library().preferred());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static Hadamard of(Backend backend) {
    return new Hadamard(TransformKernels.of(backend));
  }

  /** Whether there is a transform of this size: {@code 2^k} or {@code 12 2^k}, to 4096. */
  public static boolean fits(int n) {
    return HadamardMatrix.fits(n);
  }

  /**
   * Refuses a size that has no transform.
   *
   * @throws IllegalArgumentException naming the sizes that fit and those next to it
   */
  static void checkFits(String name, int n) {
    if (!fits(n)) {
      int below = n - 1;
      while (below > 1 && !fits(below)) {
        below--;
      }
      int above = n + 1;
      while (above < MAX_SIZE && !fits(above)) {
        above++;
      }
      throw new IllegalArgumentException(
          name
              + ": expected 2^k or 12 2^k channels, at most "
              + MAX_SIZE
              + ", got "
              + n
              + "; next to it fit "
              + below
              + (n < MAX_SIZE ? " and " + above : ""));
    }
  }

  /**
   * Transforms rows.
   *
   * @param x {@code [T, width]} F32, dense last dimension
   * @param n channels of a block; {@link #fits fits} and divides the width
   * @param out as {@code x}; may be {@code x}, must not overlap it otherwise
   * @throws IllegalArgumentException if types, shapes or sizes do not fit
   */
  public void apply(Tensor x, int n, Tensor out) {
    checkFits("n", n);
    checkRows("x", x, "out", out);
    checkArgument(
        x.size(1) % n == 0, "x: expected a width in blocks of %s channels, got %s", n, x.size(1));
    boolean same = out.address() == x.address() && out.stride(0) == x.stride(0);
    checkArgument(
        same || !Checks.overlap(x, out), "out: expected x itself or memory apart from it");
    Threads.forRanges(
        x.size(0), grain(x.size(1)), (from, to) -> kernels.hadamard(x, n, out, from, to));
  }

  static void checkRows(String name, Tensor x, String outName, Tensor out) {
    Checks.matrix(name, x, DType.F32);
    Checks.matrix(outName, out, DType.F32);
    Checks.shape(outName, out, x.shape());
    Checks.writable(outName, out);
    Checks.sameDevice(outName, out, name, x);
  }

  static long grain(long width) {
    return Math.max(1, GRAIN / Math.max(1, width));
  }
}
