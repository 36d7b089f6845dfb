package io.github.lightning4j.minimax.vision;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Width and height.
 *
 * @param width in pixels, {@code >= 1}
 * @param height in pixels, {@code >= 1}
 */
public record Resolution(int width, int height) {
  /** Checks ranges. */
  public Resolution {
    checkArgument(width >= 1, "width: expected >= 1 pixel, got %s", width);
    checkArgument(height >= 1, "height: expected >= 1 pixel, got %s", height);
  }

  /** The number of pixels. */
  public long pixels() {
    return (long) width * height;
  }

  /** {@code 640x480}. */
  @Override
  public String toString() {
    return width + "x" + height;
  }
}
