package io.github.lightning4j.kvquant.quantizer;

/**
 * The values that represent a standard normal variable with the least mean square error, times the
 * root mean square of the group: what a rotation makes of a group is close to normal. Symmetric, so
 * the group's mean should be zero; for 2, 3 and 4 bits.
 *
 * <pre>
 *   s = sqrt(mean(x^2))       in double; stored as the quantizer's ScaleFormat says
 *   q = number of thresholds that x / s reaches, the threshold half way between two levels
 *   x' = s levels[q]
 * </pre>
 *
 * <p>Relative error on normal values: 0.1175, 0.0345 and 0.0095 for 2, 3 and 4 bits.
 *
 * <p>Source: Max, Quantizing for Minimum Distortion (1960); Lloyd, Least Squares Quantization in
 * PCM (1982).
 */
public record LloydMaxGrid() implements Grid {
  private static final double[][] POSITIVE = {
    {0.452780035, 1.510417608},
    {0.245094179, 0.756005281, 1.343909279, 2.151945705},
    {
      0.12839503,
      0.388048299,
      0.656759119,
      0.942340456,
      1.256231197,
      1.618046386,
      2.069017227,
      2.732589571
    }
  };
  private static final float[][] LEVELS = new float[POSITIVE.length][];
  private static final float[][] THRESHOLDS = new float[POSITIVE.length][];

  static {
    for (int i = 0; i < POSITIVE.length; i++) {
      double[] levels = mirrored(POSITIVE[i]);
      LEVELS[i] = new float[levels.length];
      THRESHOLDS[i] = new float[levels.length - 1];
      for (int q = 0; q < levels.length; q++) {
        LEVELS[i][q] = (float) levels[q];
        if (q > 0) {
          THRESHOLDS[i][q - 1] = (float) ((levels[q - 1] + levels[q]) / 2);
        }
      }
    }
  }

  private static double[] mirrored(double[] positive) {
    int half = positive.length;
    double[] all = new double[2 * half];
    for (int i = 0; i < half; i++) {
      all[half + i] = positive[i];
      all[half - 1 - i] = -positive[i];
    }
    return all;
  }

  /**
   * The values of the codes for a scale of 1, ascending.
   *
   * @param bits 2, 3 or 4
   */
  public static float[] levels(int bits) {
    return LEVELS[bits - 2].clone();
  }

  /**
   * The borders between neighbouring levels, ascending; a value on one takes the upper code.
   *
   * @param bits 2, 3 or 4
   */
  public static float[] thresholds(int bits) {
    return THRESHOLDS[bits - 2].clone();
  }

  static int fit(float[] x, int from, int to, ScaleFormat format) {
    double squares = 0;
    for (int i = from; i < to; i++) {
      squares += (double) x[i] * x[i];
    }
    return format.encode(Math.sqrt(squares / (to - from)));
  }

  static byte code(float x, float scale, int bits) {
    float[] thresholds = THRESHOLDS[bits - 2];
    float scaled = x / scale;
    int code = 0;
    while (code < thresholds.length && scaled >= thresholds[code]) {
      code++;
    }
    return (byte) code;
  }

  static float value(int code, float scale, int bits) {
    return scale * LEVELS[bits - 2][code];
  }
}
