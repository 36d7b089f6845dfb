package io.github.lightning4j.moe;

import static com.google.common.base.Preconditions.checkArgument;

import java.math.BigDecimal;
import java.math.RoundingMode;

/**
 * How many tokens an expert takes at most, and which it drops if more chose it.
 *
 * <pre>  C = max(minimum, ceil(T k / E * factor)),   nothing is dropped once C reaches T</pre>
 *
 * <p>T tokens choose k of E experts each. The factor counts as the decimal it prints as: 1.1 times
 * 100 is 110, not the 111 that rounding up the product of doubles gives. A factor of 1 is room for
 * an even load; training usually takes 1 to 2. There are no negative or zero factors with meanings
 * of their own: without a capacity nothing is dropped. Source: GShard (arXiv 2006.16668), and
 * Megatron-Core for the minimum and for C above T.
 *
 * @param factor above 0, finite
 * @param priority who stays
 * @param minimum the least capacity, 0 for none
 */
public record Capacity(double factor, Priority priority, int minimum) {
  /** The order in which the pairs of an expert are kept. */
  public enum Priority {
    /** The largest routing weights; of equals the lowest token. */
    WEIGHT,
    /** The first tokens of the batch. */
    POSITION
  }

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if the factor is not a finite number above 0, or the minimum
   *     is negative
   */
  public Capacity {
    checkArgument(
        factor > 0 && factor < Double.POSITIVE_INFINITY,
        "factor: expected a finite number > 0, got %s; to drop nothing build the plan without",
        factor);
    checkArgument(minimum >= 0, "minimum: expected >= 0, got %s", minimum);
  }

  /** Keeps the largest routing weights, without minimum. */
  public static Capacity ofFactor(double factor) {
    return new Capacity(factor, Priority.WEIGHT, 0);
  }

  /** The same with another order. */
  public Capacity withPriority(Priority newPriority) {
    return new Capacity(factor, newPriority, minimum);
  }

  /** The same with another minimum. */
  public Capacity withMinimum(int newMinimum) {
    return new Capacity(factor, priority, newMinimum);
  }

  /**
   * The capacity C of each expert, but never above T: an expert has no use for more.
   *
   * @param tokens T, {@code >= 0}
   * @param k the choices of a token, {@code 1 <= k <= E}
   * @param experts E
   * @throws IllegalArgumentException if a size is out of range
   */
  public int limit(int tokens, int k, int experts) {
    checkArgument(tokens >= 0, "tokens: expected >= 0, got %s", tokens);
    checkArgument(k >= 1 && k <= experts, "k: expected 1 <= k <= %s, got %s", experts, k);
    BigDecimal share =
        BigDecimal.valueOf(factor)
            .multiply(BigDecimal.valueOf((long) tokens * k))
            .divide(BigDecimal.valueOf(experts), 0, RoundingMode.CEILING);
    return share.max(BigDecimal.valueOf(minimum)).min(BigDecimal.valueOf(tokens)).intValueExact();
  }
}
