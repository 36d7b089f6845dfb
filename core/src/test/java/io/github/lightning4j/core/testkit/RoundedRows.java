package io.github.lightning4j.core.testkit;

import io.github.lightning4j.core.quant.QuantFormat;

/** Activations as products with quantized weights round them; see {@code Gemm}. */
public final class RoundedRows {
  private RoundedRows() {}

  /**
   * {@code q m / c} with {@code q = rint(x c / m)}, m the largest magnitude of a block of a row.
   *
   * @param x rows of {@code columns}, each the value of a float
   * @param format of the weights: its bits decide c, its block the neighbours
   */
  public static double[] of(double[] x, int columns, QuantFormat format) {
    float most = format.bits() == 8 ? 32767 : 127;
    double[] rounded = new double[x.length];
    for (int row = 0; row < x.length; row += columns) {
      for (int k = 0; k < columns; k += format.block()) {
        int end = Math.min(columns, k + format.block());
        float largest = 1e-30f;
        for (int i = k; i < end; i++) {
          largest = Math.max(largest, Math.abs((float) x[row + i]));
        }
        float inverse = most / largest;
        for (int i = k; i < end; i++) {
          rounded[row + i] = Math.rint((float) x[row + i] * inverse) * (double) (largest / most);
        }
      }
    }
    return rounded;
  }
}
