package io.github.lightning4j.moe;

import io.github.lightning4j.core.Device;

/**
 * The weights of E SwiGLU experts, {@code W2 (silu(W1 x) * (W3 x))}: as they are trained ({@link
 * ExpertWeights}) or in 8 or 4 bits ({@link QuantizedExpertWeights}).
 */
public sealed interface Experts permits ExpertWeights, QuantizedExpertWeights {
  /** The number of experts E. */
  int experts();

  /** The width H of what goes in and comes out. */
  long hidden();

  /** The width I between the two layers. */
  long intermediate();

  /** Where the weights live. */
  Device device();
}
