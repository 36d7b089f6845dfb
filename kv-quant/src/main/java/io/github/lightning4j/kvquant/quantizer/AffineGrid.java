package io.github.lightning4j.kvquant.quantizer;

/**
 * Evenly spaced values between the ends of a group, asymmetric.
 *
 * <pre>
 *   [mn, mx] = clip of the group's least and greatest value
 *   s = (mx - mn) / (2^b - 1)                      stored as the quantizer's ScaleFormat says
 *   z = -mn / s                                    from the stored s; stored as {@code zero} says
 *   q = clamp(rint(x / s) + z, 0, 2^b - 1)         INTEGER zero, both stored values
 *   q = clamp(rint(x / s + z), 0, 2^b - 1)         other zeros
 *   x' = s (q - z)
 * </pre>
 *
 * <p>s and z are formed in double, codes and values in fp32; rint rounds ties to even. A zero point
 * that cannot be stored is formed again without clipping; where that cannot be stored either, as in
 * a group of equal values, s becomes the least step with which the whole group is within reach.
 *
 * @param clip how much of the range is spanned
 * @param zero how the zero point is stored
 */
public record AffineGrid(Clip clip, ZeroFormat zero) implements Grid {
  /** Scale and zero point of a group, encoded. */
  record Fit(int scale, int zero) {}

  Fit fit(float[] x, int from, int to, int bits, ScaleFormat format) {
    Range clipped = clip.range(x, from, to);
    int scale = format.encode(clipped.width() / levels(bits));
    if (!reaches(clipped, format.decode(scale), bits)) {
      clipped = Range.of(x, from, to);
      scale = format.encode(clipped.width() / levels(bits));
      if (!reaches(clipped, format.decode(scale), bits)) {
        scale = format.encodeAtLeast(leastStep(clipped, bits));
      }
    }
    return new Fit(scale, zero.encode(-clipped.min() / format.decode(scale), bits));
  }

  private static int levels(int bits) {
    return (1 << bits) - 1;
  }

  private boolean reaches(Range range, float step, int bits) {
    double wanted = -range.min() / step;
    return range.width() > 0 && wanted >= zero.least(bits) && wanted <= zero.greatest(bits);
  }

  /** The least step with which a zero point that can be stored brings a range within reach. */
  private double leastStep(Range range, int bits) {
    double below = -zero.least(bits);
    if (range.min() > 0) {
      return below > 0 ? range.min() / below : range.max() / levels(bits);
    }
    return -range.min() / zero.greatest(bits);
  }

  byte code(float x, float scale, float zeroPoint, int bits) {
    double code =
        zero == ZeroFormat.INTEGER
            ? Math.rint(x / scale) + zeroPoint
            : Math.rint(x / scale + zeroPoint);
    return (byte) Math.max(0, Math.min(levels(bits), code));
  }
}
