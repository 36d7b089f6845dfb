package io.github.lightning4j.minimax.vision;

import java.awt.image.BufferedImage;
import java.awt.image.IndexColorModel;
import java.awt.image.Raster;

/**
 * The samples of a decoded picture as RGB bytes. They are read from the raster as they are stored:
 * {@link BufferedImage#getRGB} would convert gray by gamma.
 */
final class RasterSamples {
  private RasterSamples() {}

  static byte[] rgb(BufferedImage image) {
    Raster raster = image.getRaster();
    int width = image.getWidth();
    int bands = raster.getNumBands();
    int[] row = new int[width * bands];
    byte[] rgb = new byte[Math.multiplyExact(3, Math.multiplyExact(width, image.getHeight()))];
    for (int y = 0; y < image.getHeight(); y++) {
      raster.getPixels(raster.getMinX(), raster.getMinY() + y, width, 1, row);
      int to = 3 * width * y;
      if (image.getColorModel() instanceof IndexColorModel palette) {
        lookUp(row, palette, rgb, to);
      } else {
        copy(row, bands, image.getColorModel().getComponentSize(0), rgb, to);
      }
    }
    return rgb;
  }

  private static void lookUp(int[] row, IndexColorModel palette, byte[] rgb, int to) {
    for (int x = 0; x < row.length; x++) {
      rgb[to + 3 * x] = (byte) palette.getRed(row[x]);
      rgb[to + 3 * x + 1] = (byte) palette.getGreen(row[x]);
      rgb[to + 3 * x + 2] = (byte) palette.getBlue(row[x]);
    }
  }

  /**
   * One or two bands are gray, three or four red, green, blue; the last of an even number alpha.
   */
  private static void copy(int[] row, int bands, int bits, byte[] rgb, int to) {
    int green = bands < 3 ? 0 : 1;
    for (int x = 0; x < row.length / bands; x++) {
      int from = x * bands;
      rgb[to + 3 * x] = level(row[from], bits);
      rgb[to + 3 * x + 1] = level(row[from + green], bits);
      rgb[to + 3 * x + 2] = level(row[from + 2 * green], bits);
    }
  }

  private static byte level(int sample, int bits) {
    return (byte) (bits >= 8 ? sample >> (bits - 8) : sample * 255 / ((1 << bits) - 1));
  }
}
