package io.github.lightning4j.kvquant.quantizer;

import io.github.lightning4j.core.Float16;

/**
 * How the scale of a group is stored. Scales are positive. What lies outside the range of a format
 * takes its nearest end: smaller steps than it has cost accuracy, larger ones clip the group. Codes
 * grow with the scale they stand for, so the next one up is {@code encoded + 1}.
 */
public enum ScaleFormat {
  /** {@code 2^((u - 160) / 8)}: 9.5e-7 to 3756 in steps of 9 %, error at most 4.43 %. One byte. */
  LOG8(1, 0, 255) {
    @Override
    int nearest(double scale) {
      int exponent = Math.getExponent(scale);
      double fraction = scale * Math.scalb(1.0, -exponent);
      int steps = 0;
      while (steps < 8 && fraction >= LOG8_BORDERS[steps]) {
        steps++;
      }
      return 160 + 8 * exponent + steps;
    }

    @Override
    public float decode(int encoded) {
      return LOG8_VALUES[encoded];
    }
  },
  /**
   * Eight-bit float, 4 exponent and 3 fraction bits, no infinity: 2^-9 to 448, error at most 6.25 %
   * from 2^-6 on, below that more. One byte.
   */
  E4M3(1, 1, 0x7e) {
    @Override
    int nearest(double scale) {
      int exponent = Math.max(Math.getExponent(scale), -6);
      int eighths = (int) Math.rint(scale * Math.scalb(1.0, 3 - exponent));
      return eighths + 8 * (exponent + 6); // 8 eighths carry into the exponent, as 0 to 7 do not
    }

    @Override
    public float decode(int encoded) {
      int exponent = encoded >> 3;
      int eighths = encoded & 7;
      return exponent == 0 ? eighths * 0x1p-9f : Math.scalb(1 + eighths / 8f, exponent - 7);
    }
  },
  /** IEEE binary16: 2^-24 to 65504. Two bytes, the lower first. */
  FP16(2, 1, 0x7bff) {
    @Override
    int nearest(double scale) {
      return Float16.fromFloat((float) scale);
    }

    @Override
    public float decode(int encoded) {
      return Float16.toFloat((short) encoded);
    }
  },
  /**
   * IEEE binary32, for comparison with simulations that do not round it: 2^-126 to 2^118, so that
   * no product of a scale overflows. Four bytes, the lower first.
   */
  FP32(4, 0x00800000, 0x7a800000) {
    @Override
    int nearest(double scale) {
      return Float.floatToRawIntBits((float) scale);
    }

    @Override
    public float decode(int encoded) {
      return Float.intBitsToFloat(encoded);
    }
  };

  /** Between {@code 2^(k/8)} and its successor, in the middle of their logarithms. */
  private static final double[] LOG8_BORDERS = new double[8];

  private static final float[] LOG8_VALUES = new float[256];

  static {
    for (int k = 0; k < LOG8_BORDERS.length; k++) {
      LOG8_BORDERS[k] = StrictMath.pow(2, (2 * k + 1) / 16.0);
    }
    for (int u = 0; u < LOG8_VALUES.length; u++) {
      LOG8_VALUES[u] = (float) StrictMath.pow(2, (u - 160) / 8.0);
    }
  }

  private final int bytes;
  private final int least;
  private final int greatest;

  ScaleFormat(int bytes, int least, int greatest) {
    this.bytes = bytes;
    this.least = least;
    this.greatest = greatest;
  }

  /** Bytes of one scale. */
  public int bytes() {
    return bytes;
  }

  /** The value of an encoded scale. */
  public abstract float decode(int encoded);

  /** The code nearest to a scale within the range. */
  abstract int nearest(double scale);

  /**
   * The nearest code; LOG8 rounds the logarithm, the others to even.
   *
   * @param scale not negative and not NaN
   */
  public int encode(double scale) {
    if (scale <= decode(least)) {
      return least;
    }
    return scale >= decode(greatest) ? greatest : nearest(scale);
  }

  /** The least code that stands for {@code scale} or more, or the greatest there is. */
  public int encodeAtLeast(double scale) {
    int encoded = encode(scale);
    return decode(encoded) < scale ? Math.min(encoded + 1, greatest) : encoded;
  }
}
