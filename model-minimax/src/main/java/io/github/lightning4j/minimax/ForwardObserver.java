package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Tensor;

/**
 * Sees the inside of a forward pass, for comparisons and for research. Tensors are scratch memory:
 * valid during the call, not to be written or kept.
 */
public interface ForwardObserver {
  /** Sees nothing. */
  ForwardObserver NONE = new ForwardObserver() {};

  /**
   * The residual stream before a layer.
   *
   * @param layer 0 for the embeddings, the number of layers for what the final norm gets
   * @param stream {@code [T, H]} F32
   */
  default void hidden(int layer, Tensor stream) {}

  /**
   * What a router decided.
   *
   * @param layer the layer
   * @param logits {@code [T, E]} F32
   * @param index {@code [T, K]} I32, best first
   * @param weight {@code [T, K]} F32, renormalised
   */
  default void router(int layer, Tensor logits, Tensor index, Tensor weight) {}

  /**
   * The stream after the final norm.
   *
   * @param normed {@code [T, H]} F32
   */
  default void finalNorm(Tensor normed) {}
}
