package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;

/** Sees the inside of the tower; the tensors are valid during the call only. */
public interface TileObserver {
  /** Sees nothing. */
  TileObserver NONE = new TileObserver() {};

  /** The stream {@code [1 + P, C]} before each layer, and behind the last. */
  default void hidden(int tile, int layer, Tensor stream) {}

  /** The features {@code [P, C]} of a tile, and what the projector makes of them {@code [P, H]}. */
  default void projected(int tile, Tensor features, Tensor projected) {}
}
