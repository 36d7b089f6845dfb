package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.Activation;
import io.github.lightning4j.minimax.internal.Operators;
import io.github.lightning4j.minimax.vision.ImageTiles;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.util.ArrayList;
import java.util.List;

/**
 * From tiles to rows of embeddings: vision tower, projector, packing. Tile after tile goes through
 * the same buffers. Thread-safe: each call has its own.
 *
 * <pre>
 * projected = gelu(features W1^T + b1) W2^T + b2        before packing
 * </pre>
 */
public final class ImageEncoder {
  private final VisionConfig config;
  private final VisionWeights weights;
  private final Operators operators;
  private final PatchEmbedding embedding;
  private final List<EncoderLayer> layers = new ArrayList<>();

  /** An encoder over these weights with these operators. */
  public ImageEncoder(VisionConfig config, VisionWeights weights, Operators operators) {
    this.config = config;
    this.weights = weights;
    this.operators = operators;
    this.embedding = new PatchEmbedding(config, weights, operators);
    for (int i = 0; i < config.tower().featureLayers(); i++) {
      layers.add(new EncoderLayer(config.tower(), weights.layers().get(i), operators));
    }
  }

  /**
   * Encodes a picture.
   *
   * @param out {@code [tiles.layout().tokens(), H]} F32, contiguous
   */
  public void encode(ImageTiles tiles, TileObserver observer, Tensor out) {
    FeaturePacking packing = new FeaturePacking(tiles.layout(), out);
    packing.newlines(weights.newline());
    try (TowerBuffers buffers = new TowerBuffers(config.tower(), weights.newline().size(0))) {
      for (int tile = 0; tile < tiles.layout().tiles(); tile++) {
        embedding.forward(tiles, tile, buffers);
        for (int i = 0; i < layers.size(); i++) {
          observer.hidden(tile, i, buffers.stream);
          layers.get(i).forward(buffers);
        }
        observer.hidden(tile, layers.size(), buffers.stream);
        project(buffers);
        observer.projected(tile, buffers.features(), buffers.projected);
        packing.tile(tile, buffers.projected);
      }
    }
  }

  private void project(TowerBuffers buffers) {
    VisionWeights.Linear first = weights.projector1();
    VisionWeights.Linear second = weights.projector2();
    operators.gemm().multiply(buffers.features(), first.weight(), buffers.projecting);
    operators
        .biased()
        .addBias(buffers.projecting, first.bias(), config.projector(), buffers.projecting);
    operators.gemm().multiply(buffers.projecting, second.weight(), buffers.projected);
    operators
        .biased()
        .addBias(buffers.projected, second.bias(), Activation.NONE, buffers.projected);
  }
}
