package io.github.lightning4j.core.quant;

/**
 * What quantization changed, W being the weights and V what their codes stand for.
 *
 * @param maxAbsolute the largest {@code |W - V|}
 * @param squaredError the sum of {@code (W - V)^2}
 * @param squaredWeights the sum of {@code W^2}
 */
public record QuantizationError(double maxAbsolute, double squaredError, double squaredWeights) {
  /** Nothing quantized yet. */
  public static final QuantizationError NONE = new QuantizationError(0, 0, 0);

  /**
   * The relative root mean square error {@code |W - V| / |W|} (Frobenius norms), 0 for weights that
   * are all zero. For inputs x of independent elements of one variance it is also the expected
   * relative error of the output, {@code sqrt(E |Wx - Vx|^2 / E |Wx|^2)}.
   */
  public double relativeRms() {
    return squaredWeights == 0 ? 0 : Math.sqrt(squaredError / squaredWeights);
  }

  /** The error of two matrices together. */
  public QuantizationError plus(QuantizationError other) {
    return new QuantizationError(
        Math.max(maxAbsolute, other.maxAbsolute),
        squaredError + other.squaredError,
        squaredWeights + other.squaredWeights);
  }
}
