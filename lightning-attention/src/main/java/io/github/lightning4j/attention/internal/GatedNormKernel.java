package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** The norm behind lightning attention over checked rows {@code [from, to)}. */
public interface GatedNormKernel {
  /** {@code out = sigmoid(gate) * weight * x / sqrt(mean(x^2) + eps)}; no gate where it is null. */
  void apply(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, long from, long to);

  /** The implementation for a backend. */
  static GatedNormKernel of(Backend backend) {
    return AttentionKernels.library().choose(backend, new ReferenceGatedNorm(), new CpuGatedNorm());
  }
}
