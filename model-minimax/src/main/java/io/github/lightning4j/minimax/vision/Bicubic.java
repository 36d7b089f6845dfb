package io.github.lightning4j.minimax.vision;

import io.github.lightning4j.core.Threads;
import java.util.Arrays;

/**
 * Bicubic resizing of 8-bit pixels, to the bit that of Pillow, with which the model was trained.
 *
 * <pre>
 * s = in / out, f = max(s, 1), c = (o + 0.5) s
 * w[x] = cubic((x - c + 0.5) / f)    for x from max(int(c - 2f + 0.5), 0) to min(int(c + 2f + 0.5), in)
 * k[x] = round(w[x] / sum w * 2^22)  out[o] = clip((2^21 + sum pixel[x] k[x]) &gt;&gt; 22)
 *
 * cubic(t) = (1.5 |t| - 2.5) t^2 + 1 for |t| &lt; 1,  -0.5 (((|t| - 5) |t| + 8) |t| - 4) for |t| &lt; 2
 * </pre>
 *
 * <p>First along rows, its result clipped to 8 bits, then along columns. Taps beyond the edge are
 * dropped, not repeated.
 *
 * <p>Memory: rows that are resized and wait for their columns take at most {@link #BAND} bytes, or
 * the {@code 4 s} of one output row where those are more: {@code 12 W' H / H'} bytes, whatever the
 * aspect. Resized whole, a picture of 183 x 366000 would take {@code 3 x 336 x 366000}, twice its
 * own pixels. Rows on the border of two bands are resized twice.
 */
final class Bicubic {
  private static final int BITS = 22;
  private static final int HALF = 1 << (BITS - 1);

  /** Multiply-adds below which one thread is faster than two. */
  private static final long GRAIN = 1 << 16;

  /** Bytes of resized rows that are held at once. */
  private static final int BAND = 1 << 24;

  private Bicubic() {}

  /** Resizes {@code height x width x 3} bytes. */
  static RgbImage resize(RgbImage image, Resolution to) {
    return resize(image, to, BAND);
  }

  /** As {@link #resize(RgbImage, Resolution)} with bands of so many bytes, or of a row. */
  static RgbImage resize(RgbImage image, Resolution to, int band) {
    Resolution from = image.size();
    byte[] out = new byte[Math.toIntExact(3 * to.pixels())];
    if (to.height() == from.height()) {
      alongRows(image, 0, to.height(), to.width(), out);
    } else if (to.width() == from.width()) {
      alongColumns(image.pixels(), 0, Taps.of(from.height(), to.height()), 0, to, out);
    } else {
      inBands(image, to, band, out);
    }
    return new RgbImage(to, out);
  }

  private static void inBands(RgbImage image, Resolution to, int band, byte[] out) {
    Taps columns = Taps.of(image.size().height(), to.height());
    int line = 3 * to.width();
    byte[] rows = {};
    for (int first = 0, last; first < to.height(); first = last) {
      int top = columns.first()[first];
      last = first + 1;
      while (last < to.height() && (columns.end()[last] - top) * (long) line <= band) {
        last++;
      }
      int bytes = Math.multiplyExact(line, columns.end()[last - 1] - top);
      rows = rows.length < bytes ? new byte[bytes] : rows;
      alongRows(image, top, columns.end()[last - 1], to.width(), rows);
      alongColumns(rows, top, columns, first, new Resolution(to.width(), last), out);
    }
  }

  /** Resizes the rows {@code [top, end)} to a width; {@code to} begins with the first of them. */
  private static void alongRows(RgbImage image, int top, int end, int width, byte[] to) {
    byte[] from = image.pixels();
    int line = 3 * image.size().width();
    if (image.size().width() == width) {
      System.arraycopy(from, line * top, to, 0, line * (end - top));
      return;
    }
    Taps taps = Taps.of(image.size().width(), width);
    Threads.forRanges(
        end - top,
        Math.max(1, GRAIN / (3L * width * taps.most())),
        (first, last) -> {
          for (int y = (int) first; y < last; y++) {
            row(from, line * (top + y), taps, to, 3 * width * y);
          }
        });
  }

  private static void row(byte[] from, int start, Taps taps, byte[] to, int target) {
    for (int o = 0; o < taps.count(); o++) {
      int red = HALF;
      int green = HALF;
      int blue = HALF;
      int at = start + 3 * taps.first()[o];
      int end = (o + 1) * taps.most();
      for (int tap = o * taps.most(); tap < end; tap++, at += 3) {
        int weight = taps.weights()[tap];
        if (weight != 0) { // padding lies beyond the row
          red += (from[at] & 0xff) * weight;
          green += (from[at + 1] & 0xff) * weight;
          blue += (from[at + 2] & 0xff) * weight;
        }
      }
      to[target + 3 * o] = clip(red);
      to[target + 3 * o + 1] = clip(green);
      to[target + 3 * o + 2] = clip(blue);
    }
  }

  /**
   * Resizes rows to those from {@code start} to {@code to.height()} of the picture.
   *
   * @param top which row of the picture {@code rows} begins with
   */
  private static void alongColumns(
      byte[] rows, int top, Taps taps, int start, Resolution to, byte[] out) {
    int line = 3 * to.width();
    Threads.forRanges(
        to.height() - start,
        Math.max(1, GRAIN / ((long) line * taps.most())),
        (first, last) -> {
          int[] sums = new int[line];
          for (int o = start + (int) first; o < start + last; o++) {
            Arrays.fill(sums, HALF);
            for (int tap = 0; tap < taps.most(); tap++) {
              int weight = taps.weights()[o * taps.most() + tap];
              if (weight != 0) {
                add(rows, line * (taps.first()[o] + tap - top), weight, sums);
              }
            }
            for (int x = 0; x < line; x++) {
              out[line * o + x] = clip(sums[x]);
            }
          }
        });
  }

  private static void add(byte[] from, int start, int weight, int[] sums) {
    for (int x = 0; x < sums.length; x++) {
      sums[x] += (from[start + x] & 0xff) * weight;
    }
  }

  private static byte clip(int sum) {
    return (byte) Math.max(0, Math.min(255, sum >> BITS));
  }

  /**
   * The inputs of each output along one side.
   *
   * @param count outputs
   * @param most inputs of one output; where there are fewer, weights are 0
   * @param first the first input of each output
   * @param end one past its last input
   * @param weights {@code count x most}, times 2^22
   */
  private record Taps(int count, int most, int[] first, int[] end, int[] weights) {
    static Taps of(int in, int out) {
      double scale = (double) in / out;
      double stretch = Math.max(scale, 1);
      double support = 2 * stretch;
      int most = 2 * (int) Math.ceil(support) + 1;
      int[] first = new int[out];
      int[] end = new int[out];
      int[] weights = new int[Math.multiplyExact(out, most)];
      double[] exact = new double[most];
      for (int o = 0; o < out; o++) {
        double centre = (o + 0.5) * scale;
        int low = Math.max((int) (centre - support + 0.5), 0);
        int high = Math.min((int) (centre + support + 0.5), in);
        double sum = 0;
        for (int x = low; x < high; x++) {
          exact[x - low] = cubic((x - centre + 0.5) * (1 / stretch));
          sum += exact[x - low];
        }
        first[o] = low;
        end[o] = high;
        for (int x = low; x < high; x++) {
          double weight = exact[x - low] / sum;
          weights[o * most + x - low] = (int) (weight * (1 << BITS) + (weight < 0 ? -0.5 : 0.5));
        }
      }
      return new Taps(out, most, first, end, weights);
    }

    private static double cubic(double distance) {
      double a = -0.5;
      double t = Math.abs(distance);
      if (t < 1) {
        return ((a + 2) * t - (a + 3)) * t * t + 1;
      }
      return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
    }
  }
}
