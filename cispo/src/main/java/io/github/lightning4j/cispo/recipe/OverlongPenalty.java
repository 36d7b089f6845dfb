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
 * @param maxLength from how many tokens on the penalty is full; 20,480 in the paper
 * @param margin over how many tokens up to there it grows; 4,096 in the paper, whose penalty so
 *     begins at 16,384
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
