package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;

/** The rotary embedding in doubles, row by row. */
final class RotaryRows {
  private RotaryRows() {}

  /**
   * Turns the heads of a row to a position: pairs (j, j + R/2) of each by {@code position * w_j}.
   */
  static void turn(double[] row, int headDim, float[] inverseFrequencies, long position) {
    int half = inverseFrequencies.length;
    for (int head = 0; head < row.length; head += headDim) {
      for (int j = 0; j < half; j++) {
        double angle = position * (double) inverseFrequencies[j];
        double a = row[head + j];
        double b = row[head + half + j];
        row[head + j] = a * Math.cos(angle) - b * Math.sin(angle);
        row[head + half + j] = b * Math.cos(angle) + a * Math.sin(angle);
      }
    }
  }

  /** The mean key at a position. */
  static double[] mean(KeyBasis basis, int headDim, long position) {
    float[] mean = basis.mean();
    double[] row = new double[mean == null ? 0 : mean.length];
    for (int i = 0; i < row.length; i++) {
      row[i] = mean[i];
    }
    turn(row, headDim, basis.inverseFrequencies(), position);
    return row;
  }
}
