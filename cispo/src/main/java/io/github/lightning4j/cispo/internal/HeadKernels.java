package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadInput;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.Backend;

/** The fused head; arguments are checked by the facade. */
public interface HeadKernels {
  /** Writes the outputs of one token or more. */
  void forward(HeadInput input, HeadOutput out);

  /** Writes the gradients that are wanted; with no tokens, those of the head are 0. */
  void backward(HeadInput input, HeadOutput forward, HeadGradients gradients);

  /** The implementation for a backend. */
  static HeadKernels of(Backend backend) {
    return CispoKernels.library().choose(backend, new ReferenceHead(), new CpuHead());
  }
}
