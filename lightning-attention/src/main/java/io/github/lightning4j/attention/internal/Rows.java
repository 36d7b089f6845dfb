package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/**
 * Rows {@code [N, D]} read as {@code factor * x} or {@code factor * silu(x)}, in double.
 *
 * @param x the elements
 * @param stride elements between rows
 * @param size elements of a row
 * @param silu whether SiLU is applied on reading
 * @param factor what is multiplied on reading, after SiLU
 */
record Rows(Elements x, long stride, int size, boolean silu, double factor) {
  static Rows of(Tensor rows, boolean silu, double factor) {
    return new Rows(rows.accessor(), rows.stride(0), (int) rows.size(1), silu, factor);
  }

  /** The tokens of a sequence in {@code [B, T, H, D]}, as they are. */
  static Rows of(Tensor x, Sequence s, long head) {
    Tensor row = x.select(0, s.row()).narrow(0, s.first(), s.tokens());
    return of(row.select(1, head), false, 1);
  }

  /** The same rows, read in another way. */
  Rows read(boolean newSilu, double newFactor) {
    return new Rows(x, stride, size, newSilu, newFactor);
  }

  double[] get(long row) {
    double[] values = new double[size];
    for (int d = 0; d < size; d++) {
      double raw = x.get(row * stride + d);
      values[d] = factor * (silu ? raw * sigmoid(raw) : raw);
    }
    return values;
  }

  void set(long row, double[] values) {
    for (int d = 0; d < size; d++) {
      x.set(row * stride + d, values[d]);
    }
  }

  /** What a gradient of {@link #get} is multiplied by to become one of the elements. */
  double[] derivative(long row) {
    double[] slopes = new double[size];
    for (int d = 0; d < size; d++) {
      double raw = x.get(row * stride + d);
      double s = sigmoid(raw);
      slopes[d] = factor * (silu ? s * (1 + raw * (1 - s)) : 1);
    }
    return slopes;
  }

  private static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }
}
