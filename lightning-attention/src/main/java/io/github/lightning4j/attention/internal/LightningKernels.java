package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;

/**
 * Lightning attention over checked tensors; shapes as in the facade. Ranges {@code [from, to)}
 * count the heads of all rows, {@code b * H + h}, and may run on different threads. {@code
 * logDecay} is {@code [H]} F64.
 */
public interface LightningKernels {
  /** Runs heads over all tokens. */
  void prefill(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor state,
      Tensor out,
      long from,
      long to);

  /** Runs heads over one token each. */
  void decode(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor statePool,
      Tensor slots,
      Tensor out,
      long from,
      long to);

  /** Gradients of heads. */
  void backward(BackwardCall call, long from, long to);

  /** The implementation for a backend. */
  static LightningKernels of(Backend backend) {
    return AttentionLibrary.library().choose(backend, new ReferenceLightning(), new CpuLightning());
  }
}
