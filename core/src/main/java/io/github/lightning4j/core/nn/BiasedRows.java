package io.github.lightning4j.core.nn;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.internal.BiasedRowKernels;

/**
 * Operators over the rows of F32 activations {@code [T, H]} for layers that have a bias: layer
 * norm, and bias with an activation behind it. Weights and biases are F32 too; they are small, so
 * those of other types are widened once. Computed in fp32 on the CPU and in double in the
 * reference; NaN stays NaN in its element, or in its row for the norm, and minus infinity becomes
 * NaN under an activation. Rows are split over the threads, so results do not depend on their
 * number.
 */
public final class BiasedRows {
  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private final BiasedRowKernels kernels;

  private BiasedRows(BiasedRowKernels kernels) {
    this.kernels = kernels;
  }

  /** The fastest implementation of this machine. */
  public static BiasedRows best() {
    return new BiasedRows(BiasedRowKernels.best());
  }

  /**
   * A certain implementation.
   *
   * @throws IllegalStateException if it is not available, with the reason
   */
  public static BiasedRows of(Backend backend) {
    return new BiasedRows(BiasedRowKernels.of(backend));
  }

  /**
   * Layer norm: {@code out[t] = weight (x[t] - mean) / sqrt(var + eps) + bias}, with mean and
   * variance (over H, not H - 1) of the row.
   *
   * @param x {@code [T, H]} F32
   * @param weight {@code [H]} F32, contiguous
   * @param bias as {@code weight}
   * @param eps added to the variance, {@code >= 0}
   * @param out {@code [T, H]} F32; may be {@code x}
   * @throws IllegalArgumentException if types or shapes do not fit, or {@code out} overlaps an
   *     input without being {@code x}
   */
  public void layerNorm(Tensor x, Tensor weight, Tensor bias, float eps, Tensor out) {
    checkRows(x, out);
    checkVector("weight", weight, x, out);
    checkVector("bias", bias, x, out);
    checkArgument(eps >= 0, "eps: expected >= 0, got %s", eps);
    Threads.forRanges(
        x.size(0), grain(x), (from, to) -> kernels.layerNorm(x, weight, bias, eps, out, from, to));
  }

  /**
   * Bias and activation: {@code out[t] = activation(x[t] + bias)}.
   *
   * @param x {@code [T, H]} F32
   * @param bias {@code [H]} F32, contiguous
   * @param out {@code [T, H]} F32; may be {@code x}
   * @throws IllegalArgumentException as above
   */
  public void addBias(Tensor x, Tensor bias, Activation activation, Tensor out) {
    checkRows(x, out);
    checkVector("bias", bias, x, out);
    Threads.forRanges(
        x.size(0), grain(x), (from, to) -> kernels.addBias(x, bias, activation, out, from, to));
  }

  private static void checkRows(Tensor x, Tensor out) {
    Checks.matrix("x", x, DType.F32);
    Checks.matrix("out", out, DType.F32);
    Checks.writable("out", out);
    Checks.shape("out", out, x.shape());
    boolean same = out.address() == x.address() && out.stride(0) == x.stride(0);
    checkArgument(
        same || !Checks.overlap(x, out),
        "out: expected x itself or memory apart from it, got an overlap");
  }

  private static void checkVector(String name, Tensor vector, Tensor x, Tensor out) {
    Checks.dtype(name, vector, DType.F32);
    Checks.shape(name, vector, x.size(1));
    Checks.contiguous(name, vector);
    checkArgument(!Checks.overlap(out, vector), "out: must not overlap %s", name);
  }

  private static long grain(Tensor x) {
    return Math.max(1, GRAIN / Math.max(1, x.size(1)));
  }
}
