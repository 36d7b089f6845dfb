package io.github.lightning4j.minimax.vision;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.List;

/**
 * From a picture to what the vision tower sees: tiles of any resolution, their levels normalized by
 * channel, {@code (level / 255 - mean) / deviation}, in fp32.
 *
 * @param resolution how canvases are chosen and cut
 * @param mean of red, green and blue
 * @param deviation standard deviation of each, {@code > 0}
 */
public record ImagePreprocessor(
    AnyResolution resolution, List<Double> mean, List<Double> deviation) {
  /** The means of CLIP. */
  public static final List<Double> CLIP_MEAN = List.of(0.48145466, 0.4578275, 0.40821073);

  /** The standard deviations of CLIP. */
  public static final List<Double> CLIP_DEVIATION = List.of(0.26862954, 0.26130258, 0.27577711);

  /** Checks ranges. */
  public ImagePreprocessor {
    mean = List.copyOf(mean);
    deviation = List.copyOf(deviation);
    checkArgument(mean.size() == 3, "image_mean: expected 3 channels, got %s", mean);
    checkArgument(
        deviation.size() == 3 && deviation.stream().allMatch(d -> d > 0),
        "image_std: expected 3 channels, all > 0, got %s",
        deviation);
  }

  /**
   * The layout of a picture of a size, and with it its tokens.
   *
   * @throws ImageException if it is too thin
   */
  public TileLayout layout(Resolution image) {
    return resolution.layout(image);
  }

  /**
   * Resizes and cuts a picture. Cost: the taps of two bicubic resizes, {@code 3 W H} times a few.
   *
   * @throws ImageException if it is too thin
   */
  public ImageTiles tiles(RgbImage image) {
    return ImageTiles.of(image, layout(image.size()));
  }

  /** What a level of a channel becomes. */
  public float normalized(int channel, int level) {
    return (level / 255f - mean.get(channel).floatValue()) / deviation.get(channel).floatValue();
  }
}
