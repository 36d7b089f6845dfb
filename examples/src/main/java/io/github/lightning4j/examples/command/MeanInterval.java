package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * A mean and how far it may be off.
 *
 * <pre>halfWidth = 1.96 s / sqrt(n),   s^2 = sum (x - mean)^2 / (n - 1)</pre>
 *
 * @param mean of n independent values
 * @param halfWidth half of its 95 % confidence interval, by the normal approximation; 0 for n = 1
 */
record MeanInterval(double mean, double halfWidth) {
  private static final double NORMAL_95 = 1.959964;

  static MeanInterval of(double... values) {
    checkArgument(values.length > 0, "values: expected at least one");
    double mean = Arrays.stream(values).sum() / values.length;
    if (values.length == 1) {
      return new MeanInterval(mean, 0);
    }
    double squares = Arrays.stream(values).map(x -> (x - mean) * (x - mean)).sum();
    double variance = squares / (values.length - 1);
    return new MeanInterval(mean, NORMAL_95 * Math.sqrt(variance / values.length));
  }
}
