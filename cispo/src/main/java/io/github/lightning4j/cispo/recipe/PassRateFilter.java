package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * Which prompts there is something to learn from: those whose pass rate, the fraction of responses
 * with a reward of {@code pass} or more, lies strictly between two bounds.
 *
 * @param above the rate must be larger; below 0 for no bound
 * @param below the rate must be smaller; above 1 for no bound
 * @param pass the least reward of a response that passes
 */
public record PassRateFilter(double above, double below, double pass) {
  /** DAPO's dynamic sampling: neither all wrong nor all right, with rewards of 1 for right. */
  public static final PassRateFilter DYNAMIC_SAMPLING = new PassRateFilter(0, 1, 1);

  /** MiniMax-M1's curriculum: solved at times, but in fewer than nine of ten tries. */
  public static final PassRateFilter MINIMAX_M1 = new PassRateFilter(0, 0.9, 1);

  /**
   * Checks the bounds.
   *
   * @throws IllegalArgumentException if one is NaN or they are not in order
   */
  public PassRateFilter {
    checkArgument(above < below, "above: expected < below = %s, got %s", below, above);
    checkArgument(Double.isFinite(pass), "pass: expected a finite number, got %s", pass);
  }

  /**
   * The pass rate of a group.
   *
   * @throws IllegalArgumentException if it is empty or a reward is NaN
   */
  public double rate(double[] rewards) {
    checkArgument(rewards.length > 0, "rewards: expected a group of one or more, got none");
    for (int i = 0; i < rewards.length; i++) {
      checkArgument(!Double.isNaN(rewards[i]), "rewards[%s]: expected a number, got NaN", i);
    }
    return Arrays.stream(rewards).filter(r -> r >= pass).count() / (double) rewards.length;
  }

  /** Whether a group is worth training on. */
  public boolean keeps(double[] rewards) {
    double rate = rate(rewards);
    return rate > above && rate < below;
  }
}
