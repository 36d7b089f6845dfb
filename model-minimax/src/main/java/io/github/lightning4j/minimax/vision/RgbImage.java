package io.github.lightning4j.minimax.vision;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.file.Path;

/**
 * A picture of 8 bits a channel, red, green, blue.
 *
 * <p>{@link #read} takes PNG and JPEG as they are stored, without colour management and without the
 * rotation that EXIF data may ask for, and makes them RGB first of all: alpha is dropped, palettes
 * are looked up, gray is repeated, 16 bits lose the lower 8. Immutable.
 */
public final class RgbImage {
  /** The most pixels a picture may have: 64 Mi, 8192 x 8192. */
  public static final long MAX_PIXELS = 1L << 26;

  private final Resolution size;
  private final byte[] rgb;

  /** Takes the array as it is. */
  RgbImage(Resolution size, byte[] rgb) {
    this.size = size;
    this.rgb = rgb;
  }

  /**
   * A picture from its pixels, which are copied.
   *
   * @param rgb {@code height x width x 3} unsigned bytes, row by row
   * @throws IllegalArgumentException if a side is less than 1, there are more than {@link
   *     #MAX_PIXELS}, or the array has another length
   */
  public static RgbImage of(int width, int height, byte[] rgb) {
    Resolution size = new Resolution(width, height);
    checkArgument(
        size.pixels() <= MAX_PIXELS, "size: expected at most %s pixels, got %s", MAX_PIXELS, size);
    checkArgument(
        rgb.length == 3 * size.pixels(),
        "rgb: expected %s bytes for %s, got %s",
        3 * size.pixels(),
        size,
        rgb.length);
    return new RgbImage(size, rgb.clone());
  }

  /**
   * Reads a PNG or JPEG file.
   *
   * @throws ImageException if it cannot be read, is of another format or colour space, is damaged
   *     or cut off, has no pixels or more than {@link #MAX_PIXELS}, or needs more heap than there
   *     is, 4 to 11 bytes a pixel; this is told from the header, before anything is decoded. Or if
   *     it is a JPEG whose scans go over more than {@code 16 MAX_PIXELS} pixels in all
   */
  public static RgbImage read(Path file) {
    return ImageFile.read(file);
  }

  /**
   * Reads the bytes of a PNG or JPEG file.
   *
   * @throws ImageException as {@link #read(Path)}
   */
  public static RgbImage read(byte[] file) {
    return ImageFile.read(file);
  }

  /** Width and height. */
  public Resolution size() {
    return size;
  }

  /** A copy of the pixels, {@code height x width x 3} unsigned bytes, row by row. */
  public byte[] rgb() {
    return rgb.clone();
  }

  /** The pixels themselves, not to be written. */
  byte[] pixels() {
    return rgb;
  }
}
