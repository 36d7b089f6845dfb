package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;

/** Attention over a store; arguments are checked by the facade, with at least one query. */
public interface AttentionKernels {
  /** Attention of the last {@code q.size(0)} positions of the store. */
  void attend(Tensor q, PagedStore store, float scale, Tensor out);

  /**
   * Attention of query t to the tokens {@code [from[t], to[t])} of the store, merged into {@code
   * out} and {@code logSums}.
   */
  void attendPart(
      Tensor q, PagedStore store, Tensor from, Tensor to, float scale, Tensor out, Tensor logSums);

  /** The implementation for a backend. */
  static AttentionKernels of(Backend backend) {
    return KvQuantKernels.library().choose(backend, new ReferenceAttention(), new CpuAttention());
  }
}
