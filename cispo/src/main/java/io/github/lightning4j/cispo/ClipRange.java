package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * An interval of ratios, as absolute bounds. Publications and libraries write the same bounds in
 * two ways that differ by one; the factories are named after what they take.
 *
 * @param lower {@code >= 0}; 0 is no bound, since ratios are positive
 * @param upper {@code > 0} and {@code >= lower}; infinity is no bound
 */
public record ClipRange(double lower, double upper) {
  /** All ratios. */
  public static final ClipRange UNBOUNDED = new ClipRange(0, Double.POSITIVE_INFINITY);

  /**
   * Checks the bounds.
   *
   * @throws IllegalArgumentException if they are NaN or not in order
   */
  public ClipRange {
    checkArgument(lower >= 0, "lower: expected >= 0, got %s", lower);
    checkArgument(upper > 0, "upper: expected > 0, got %s", upper);
    checkArgument(lower <= upper, "lower: expected <= upper = %s, got %s", upper, lower);
    checkArgument(
        lower < Double.POSITIVE_INFINITY, "lower: expected a finite bound, got %s", lower);
  }

  /**
   * {@code [1 - epsilonLow, 1 + epsilonHigh]}: distances from 1, as PPO and its descendants, the
   * CISPO paper, verl and slime count.
   *
   * @param epsilonLow {@code >= 0}; from 1 on there is no lower bound
   * @param epsilonHigh {@code >= 0}
   * @throws IllegalArgumentException if one is negative or NaN
   */
  public static ClipRange ofEpsilons(double epsilonLow, double epsilonHigh) {
    return ofEpsilons("epsilonLow", epsilonLow, "epsilonHigh", epsilonHigh);
  }

  /** The same under the names that a factory has for them. */
  static ClipRange ofEpsilons(String lowName, double low, String highName, double high) {
    checkArgument(low >= 0, "%s: expected >= 0, got %s", lowName, low);
    checkArgument(high >= 0, "%s: expected >= 0, got %s", highName, high);
    return new ClipRange(Math.max(0, 1 - low), 1 + high);
  }

  /** The nearest ratio inside. */
  double clip(double ratio) {
    return Math.min(upper, Math.max(lower, ratio));
  }

  /**
   * Whether an advantage pulls further out a ratio that is outside already: the tokens from which
   * PPO takes no gradient.
   */
  boolean stops(double ratio, double advantage) {
    return advantage > 0 && ratio > upper || advantage < 0 && ratio < lower;
  }
}
