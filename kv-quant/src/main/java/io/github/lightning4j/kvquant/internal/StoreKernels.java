package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;

/**
 * Moves tokens into and out of pages. Token ranges {@code [from, to)} may run on different threads.
 */
public interface StoreKernels {
  /**
   * Stores tokens {@code [from, to)} of {@code k} and {@code v} at positions {@code first + from}
   * on, rounded to the page's type, to nearest even.
   */
  void append(PagedStore store, long first, Tensor k, Tensor v, long from, long to);

  /** Widens the tokens at positions {@code [from, to)} into the same rows of the outputs. */
  void read(PagedStore store, Tensor outK, Tensor outV, long from, long to);

  /** The implementation for a backend. */
  static StoreKernels of(Backend backend) {
    return KvQuantKernels.library().choose(backend, new ReferenceStore(), new CpuStore());
  }
}
