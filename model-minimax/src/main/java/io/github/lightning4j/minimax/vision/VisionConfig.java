package io.github.lightning4j.minimax.vision;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.nn.Activation;
import io.github.lightning4j.kvquant.KvCache;

/**
 * What the vision side of a checkpoint says of itself.
 *
 * @param tower the sizes of the vision tower
 * @param projector the activation between the two layers of the projector
 * @param preprocessor what becomes of a picture before the tower sees it
 * @param imageToken the token that stands for a picture in a prompt
 */
public record VisionConfig(
    Tower tower, Activation projector, ImagePreprocessor preprocessor, int imageToken) {

  /**
   * A CLIP vision tower.
   *
   * @param hiddenSize C, channels
   * @param layers how many there are
   * @param featureLayers how many of them are run; what comes out of the last of these is the
   *     feature of a patch
   * @param heads of the attention; divides {@code hiddenSize}
   * @param intermediateSize channels between the two products of a layer
   * @param activation between them
   * @param layerNormEps epsilon of the layer norms
   * @param imageSize pixels of a side of what it sees, one tile
   * @param patchSize pixels of a patch's side; divides {@code imageSize}
   */
  public record Tower(
      int hiddenSize,
      int layers,
      int featureLayers,
      int heads,
      int intermediateSize,
      Activation activation,
      double layerNormEps,
      int imageSize,
      int patchSize) {
    /** Checks ranges and divisibility. */
    public Tower {
      checkArgument(layers >= 0, "num_hidden_layers: expected >= 0, got %s", layers);
      checkArgument(
          featureLayers >= 0 && featureLayers <= layers,
          "vision_feature_layer: expected one of the %s hidden states that %s layers have, got"
              + " state %s",
          layers + 1,
          layers,
          featureLayers);
      checkArgument(
          heads >= 1 && hiddenSize >= 1 && hiddenSize % heads == 0,
          "num_attention_heads: expected a divisor of hidden_size = %s, got %s",
          hiddenSize,
          heads);
      checkArgument(
          hiddenSize / heads <= KvCache.MAX_HEAD_DIM,
          "num_attention_heads: expected heads of at most %s channels, got %s",
          KvCache.MAX_HEAD_DIM,
          hiddenSize / heads);
      checkArgument(
          intermediateSize >= 1, "intermediate_size: expected >= 1, got %s", intermediateSize);
      checkArgument(layerNormEps >= 0, "layer_norm_eps: expected >= 0, got %s", layerNormEps);
      checkArgument(
          patchSize >= 1 && imageSize >= patchSize && imageSize % patchSize == 0,
          "patch_size: expected a divisor of image_size = %s, got %s",
          imageSize,
          patchSize);
    }

    /** Channels of a head. */
    public int headDim() {
      return hiddenSize / heads;
    }

    /** Patches of a tile. */
    public int patches() {
      return imageSize / patchSize * (imageSize / patchSize);
    }
  }

  /**
   * Parameters of tower, projector and newline.
   *
   * @param hidden H, channels of the text model
   */
  public long parameters(int hidden) {
    long channels = tower.hiddenSize();
    long inner = tower.intermediateSize();
    long pixels = 3L * tower.patchSize() * tower.patchSize();
    long embeddings = channels * (pixels + 2 + tower.patches());
    long layer = 4 * channels * (channels + 1) + 2 * inner * channels + inner + 5 * channels;
    long projector = hidden * (channels + 1) + hidden * (hidden + 1L);
    return embeddings + 2 * channels + tower.layers() * layer + projector + hidden;
  }

  /** Checks that tower and preprocessor fit. */
  public VisionConfig {
    AnyResolution resolution = preprocessor.resolution();
    checkArgument(
        resolution.tile() == tower.imageSize() && resolution.patch() == tower.patchSize(),
        "size: expected tiles of %s pixels and patches of %s as the vision tower has, got %s and %s",
        tower.imageSize(),
        tower.patchSize(),
        resolution.tile(),
        resolution.patch());
    checkArgument(imageToken >= 0, "image_token_index: expected >= 0, got %s", imageToken);
  }
}
