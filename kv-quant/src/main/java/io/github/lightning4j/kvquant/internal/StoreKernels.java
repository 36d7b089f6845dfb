package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;

/**
 * Moves tokens into, within and out of pages. Token ranges {@code [from, to)} may run on different
 * threads.
 */
public interface StoreKernels {
  /**
   * Stores tokens {@code [from, to)} of {@code k} and {@code v} at positions {@code first + from}
   * on of the exact pages, rotated where the format rotates heads, rounded to nearest even.
   */
  void append(PagedStore store, long first, Tensor k, Tensor v, long from, long to);

  /**
   * As {@link #append}, for tokens that leave the window as they come: into packed pages, as
   * quantized from what an exact page would hold.
   */
  void appendPacked(PagedStore store, long first, Tensor k, Tensor v, long from, long to);

  /** Tokens at positions {@code [from, to)} leave the exact pages: quantized, or as sinks. */
  void age(PagedStore store, long from, long to);

  /**
   * Writes rows {@code [from, to)}: the tokens at positions {@code first + from} on, in the basis
   * they came in, as F32.
   */
  void read(PagedStore store, long first, Tensor outK, Tensor outV, long from, long to);

  /** The first token of {@code [T, heads, dim]} with NaN or an infinity, T if there is none. */
  long firstNonFinite(Tensor x);

  /** The implementation for a backend. */
  static StoreKernels of(Backend backend) {
    return KvQuantKernels.library().choose(backend, new ReferenceStore(), new CpuStore());
  }
}
