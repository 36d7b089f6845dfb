package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Tensor;

/** {@code out[:, from:to) = a w[from:to)^T}; arguments are checked by the facade. */
public interface GemmKernel extends AutoCloseable {
  /** Computes the columns {@code [from, to)} of the output. */
  void multiply(Tensor a, Tensor w, Tensor out, long from, long to);

  /** Frees what was made for the activations. */
  @Override
  default void close() {}
}
