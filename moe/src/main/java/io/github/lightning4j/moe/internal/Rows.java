package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** Rows of a matrix as doubles. */
public final class Rows {
  private Rows() {}

  /** Copies a row. */
  public static double[] get(Tensor matrix, long row) {
    Elements from = matrix.accessor();
    double[] values = new double[(int) matrix.size(1)];
    for (int i = 0; i < values.length; i++) {
      values[i] = from.get(row * matrix.stride(0) + i);
    }
    return values;
  }

  /** Overwrites a row. */
  public static void set(Tensor matrix, long row, double[] values) {
    Elements to = matrix.accessor();
    for (int i = 0; i < values.length; i++) {
      to.set(row * matrix.stride(0) + i, values[i]);
    }
  }
}
