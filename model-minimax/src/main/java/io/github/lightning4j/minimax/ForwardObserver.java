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
   * Keys and values of a softmax layer, before the rotary embedding.
   *
   * @param layer the layer
   * @param key {@code [T, kvHeads * headDim]} F32
   * @param value as {@code key}
   */
  default void projected(int layer, Tensor key, Tensor value) {}

  /**
   * Queries and keys of a softmax layer after the rotary embedding, sequence by sequence; not told
   * where the cache stores keys before it.
   *
   * @param layer the layer
   * @param query {@code [T, heads, headDim]} F32
   * @param key {@code [T, kvHeads, headDim]} F32
   */
  default void rotated(int layer, Tensor query, Tensor key) {}

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
