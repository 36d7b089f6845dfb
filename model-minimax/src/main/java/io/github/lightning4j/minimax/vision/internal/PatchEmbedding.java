package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.internal.Operators;
import io.github.lightning4j.minimax.vision.ImagePreprocessor;
import io.github.lightning4j.minimax.vision.ImageTiles;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.nio.FloatBuffer;

/**
 * From the pixels of a tile to the stream of the tower: a convolution whose stride is its width is
 * a product over the pixels of each patch.
 *
 * <pre>
 * x[0] = class + position[0],  x[1 + j] = W pixels[j] + position[1 + j]     out = LN(x)
 * </pre>
 */
final class PatchEmbedding {
  private final VisionConfig.Tower tower;
  private final VisionWeights weights;
  private final Operators operators;

  /** What each level of each channel becomes. */
  private final float[][] normalized = new float[3][256];

  PatchEmbedding(VisionConfig config, VisionWeights weights, Operators operators) {
    this.tower = config.tower();
    this.weights = weights;
    this.operators = operators;
    ImagePreprocessor preprocessor = config.preprocessor();
    for (int channel = 0; channel < 3; channel++) {
      for (int level = 0; level < 256; level++) {
        normalized[channel][level] = preprocessor.normalized(channel, level);
      }
    }
  }

  void forward(ImageTiles tiles, int tile, TowerBuffers buffers) {
    fill(tiles, tile, buffers.pixels);
    operators.gemm().multiply(buffers.pixels, weights.patches(), buffers.features());
    buffers.stream.select(0, 0).copyFrom(weights.classToken());
    operators.rows().scaledSum(buffers.stream, 1, weights.positions(), 1, buffers.stream);
    VisionWeights.Norm norm = weights.preNorm();
    operators
        .biased()
        .layerNorm(
            buffers.stream,
            norm.weight(),
            norm.bias(),
            (float) tower.layerNormEps(),
            buffers.stream);
  }

  /** Row by row of patches; within a patch by channel, row, column, as the weights are. */
  private void fill(ImageTiles tiles, int tile, Tensor pixels) {
    FloatBuffer to = pixels.pointer().asByteBuffer().asFloatBuffer();
    int side = tower.patchSize();
    for (int top = 0; top < tower.imageSize(); top += side) {
      for (int left = 0; left < tower.imageSize(); left += side) {
        for (int channel = 0; channel < 3; channel++) {
          for (int y = top; y < top + side; y++) {
            for (int x = left; x < left + side; x++) {
              to.put(normalized[channel][tiles.level(tile, channel, y, x)]);
            }
          }
        }
      }
    }
  }
}
