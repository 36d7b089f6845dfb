package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;

/**
 * Operators that go row by row; arguments are checked by the facades in {@code core.nn}. Row ranges
 * {@code [from, to)} may run on different threads.
 */
public interface RowKernels {
  /** {@code out[t] = weight * x[t] / sqrt(mean(x[t]^2) + eps)}. */
  void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, long from, long to);

  /** {@code out = alpha x + beta y} over contiguous rows. */
  void scaledSum(Tensor x, float alpha, Tensor y, float beta, Tensor out, long from, long to);

  /** {@code sum = alpha x + beta y} and {@code normed = rmsNorm(sum)} over contiguous rows. */
  void sumNorm(
      Tensor x,
      float alpha,
      Tensor y,
      float beta,
      Tensor weight,
      float eps,
      Tensor sum,
      Tensor normed,
      long from,
      long to);

  /** Rotates {@code x [T, heads, D]} in place; {@code invFreq} has half the rotary dims. */
  void rope(Tensor x, Tensor invFreq, long firstPosition, long from, long to);

  /** {@code out[t] = table[ids[t]]}. */
  void gatherRows(Tensor table, Tensor ids, Tensor out, long from, long to);

  /** The implementation for a backend. */
  static RowKernels of(Backend backend) {
    return CoreKernels.library().choose(backend, new ReferenceRows(), new CpuRows());
  }
}
