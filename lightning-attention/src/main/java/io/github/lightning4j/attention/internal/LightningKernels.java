package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Backend;

/**
 * Lightning attention over checked tensors. An implementation splits its work over {@link
 * io.github.lightning4j.core.Threads} as it likes; results must not depend on their number.
 */
public interface LightningKernels {
  /** Runs sequences over all their tokens. */
  void prefill(PrefillCall call);

  /** Runs rows over one token each. */
  void decode(DecodeCall call);

  /** Gradients of a prefill. */
  void backward(BackwardCall call);

  /** Passes states from segment to segment. */
  void combine(CombineCall call);

  /** Whether F64 is taken. */
  default boolean takesDoubles() {
    return false;
  }

  /** The implementation for a backend. */
  static LightningKernels of(Backend backend) {
    return AttentionKernels.library().choose(backend, new ReferenceLightning(), new CpuLightning());
  }
}
