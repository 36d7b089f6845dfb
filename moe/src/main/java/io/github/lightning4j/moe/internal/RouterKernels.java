package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.RouterOptions;
import org.jspecify.annotations.Nullable;

/** Routing of tokens {@code [from, to)}; arguments are checked by the facade. */
public interface RouterKernels {
  /** Returns the first token whose logits give no softmax, or -1. */
  long route(
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      Tensor outIndex,
      Tensor outWeight,
      long from,
      long to);

  /** The gradient of the weights with respect to the logits. */
  void backward(
      Tensor logits,
      RouterOptions options,
      Tensor index,
      Tensor dWeight,
      Tensor outDLogits,
      long from,
      long to);

  /** Rows of x times uniform noise from {@code [1 - amount, 1 + amount)}. */
  void jitter(Tensor x, double amount, long seed, Tensor outX, long from, long to);

  /** The implementation for a backend. */
  static RouterKernels of(Backend backend) {
    return MoeLibrary.get().choose(backend, new ReferenceRouter(), new CpuRouter());
  }
}
