package io.github.lightning4j.core.nn;

/** What stands behind a linear layer. */
public enum Activation {
  /** Nothing: {@code x}. */
  NONE,
  /** {@code x Phi(x) = x / 2 (1 + erf(x / sqrt 2))}, the exact GELU. */
  GELU,
  /** {@code x sigmoid(1.702 x)}, the approximation that CLIP was trained with. */
  QUICK_GELU
}
