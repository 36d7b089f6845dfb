package io.github.lightning4j.kvquant.quantizer;

import java.util.Random;

/** Rows and errors for the tests of the quantizer. */
final class Rows {
  private Rows() {}

  static float[] normal(long seed, int length, double mean, double deviation) {
    Random random = new Random(seed);
    float[] row = new float[length];
    for (int i = 0; i < length; i++) {
      row[i] = (float) (mean + deviation * random.nextGaussian());
    }
    return row;
  }

  static float[] restored(KvQuantizer quantizer, float[] row) {
    return quantizer.dequantize(quantizer.quantize(row));
  }

  static double meanSquare(float[] a, float[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      double difference = (double) a[i] - b[i];
      sum += difference * difference;
    }
    return sum / a.length;
  }

  static int[] codes(QuantizedRow row) {
    int[] codes = new int[row.codes().length];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = row.codes()[i] & 0xff;
    }
    return codes;
  }
}
