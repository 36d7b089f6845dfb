package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * DAPO's soft overlong punishment (arXiv 2503.14476, equation 13), added to the reward.
 *
 * <pre>
 *   0                                      length &lt;= maxLength - margin
 *   (maxLength - margin - length) / margin   up to maxLength
 *   -1                                     beyond
 * </pre>
 *
 * @param maxLength tokens of the longest response that may pass
 * @param margin over how many tokens the penalty grows; 16,384 and 4,096 in the paper
 */
public record OverlongPenalty(int maxLength, int margin) {
  /**
   * Checks the lengths.
   *
   * @throws IllegalArgumentException unless {@code 1 <= margin <= maxLength}
   */
  public OverlongPenalty {
    checkArgument(maxLength >= 1, "maxLength: expected >= 1, got %s", maxLength);
    checkArgument(
        margin >= 1 && margin <= maxLength,
        "margin: expected 1 to maxLength = %s, got %s",
        maxLength,
        margin);
  }

  /** What a response of so many tokens loses: 0 to -1. */
  public double of(int length) {
    checkArgument(length >= 0, "length: expected >= 0, got %s", length);
    double over = length - (double) (maxLength - margin);
    return over <= 0 ? 0 : Math.max(-1, -over / margin);
  }
}
