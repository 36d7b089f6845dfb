package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.IdentityHashMap;
import java.util.Map;

/**
 * How much better than expected a response, or a token, was. Responses to one prompt form a group:
 * n of them with rewards R_j, mean m and sample standard deviation s (over n - 1, as {@code
 * torch.std}).
 *
 * <p>A group whose rewards are all equal, and so a group of one, whose deviation is undefined, has
 * advantages of exactly 0 under every estimator but {@link #gae}: it says nothing about which
 * response was better. Rewards are equal if they differ by 4 units in the last place of the largest
 * of their group or less: that is how 0.1 + 0.2 differs from 0.3, and dividing it by its own
 * deviation would make advantages of it. TRL and verl add 1e-4 or 1e-6 to s instead.
 *
 * <p>Means and deviations are taken in units of a power of two near the largest reward, so rewards
 * of 1e-170 or 1e308 are as good as any.
 */
public final class Advantages {
  private Advantages() {}

  /**
   * {@code (R_i - m) / s}: GRPO, DAPO and the MiniMax-M1 paper.
   *
   * @param rewards {@code [B]}
   * @param groups {@code [B]}: the group of each response, from 0
   * @return {@code [B]}
   * @throws IllegalArgumentException if there is no reward, lengths differ, a reward is not finite
   *     or a group negative, as in all below
   */
  public static double[] groupStandardized(double[] rewards, int[] groups) {
    return groupStandardized(rewards, groups, 0);
  }

  /**
   * {@code (R_i - m) / (s + epsilon)}: as TRL (1e-4) and verl (1e-6) compute it, for parity with
   * them. Advantages then depend on the unit of the rewards.
   *
   * @param epsilon finite, {@code >= 0}
   */
  public static double[] groupStandardized(double[] rewards, int[] groups, double epsilon) {
    checkArgument(
        epsilon >= 0 && epsilon < Double.POSITIVE_INFINITY,
        "epsilon: expected a finite number >= 0, got %s",
        epsilon);
    Groups by = new Groups(rewards, groups);
    double[] advantages = by.scaledCentred();
    Map<Groups.Group, Double> squares = new IdentityHashMap<>();
    for (int i = 0; i < advantages.length; i++) {
      squares.merge(by.of(i), advantages[i] * advantages[i], Double::sum);
    }
    for (int i = 0; i < advantages.length; i++) {
      Groups.Group group = by.of(i);
      double deviation = Math.sqrt(squares.getOrDefault(group, 0.0) / (group.size() - 1));
      double added = Math.scalb(epsilon, -group.exponent());
      advantages[i] = advantages[i] == 0 ? 0 : advantages[i] / (deviation + added);
    }
    return advantages;
  }

  /** {@code R_i - m}: Dr.GRPO. */
  public static double[] groupCentred(double[] rewards, int[] groups) {
    return new Groups(rewards, groups).centred();
  }

  /**
   * {@code (R_i - m) / S}, where S is the standard deviation of all {@code R_j - m(j)} of the
   * batch: ScaleRL. (TRL's {@code scale_rewards="batch"} divides by the deviation of the rewards
   * themselves.) The batch is what is given here: of shards, each with its own rewards alone, every
   * one would divide by another S. Gather the rewards of all first.
   */
  public static double[] batchStandardized(double[] rewards, int[] groups) {
    double[] advantages = new Groups(rewards, groups).centred();
    double largest = 0;
    for (double advantage : advantages) {
      largest = Math.max(largest, Math.abs(advantage));
    }
    int exponent = Math.getExponent(largest);
    double squares = 0;
    for (int i = 0; i < advantages.length; i++) {
      advantages[i] = Math.scalb(advantages[i], -exponent);
      squares += advantages[i] * advantages[i]; // their mean is 0
    }
    double deviation = Math.sqrt(squares / (advantages.length - 1));
    for (int i = 0; i < advantages.length; i++) {
      advantages[i] = advantages[i] == 0 ? 0 : advantages[i] / deviation;
    }
    return advantages;
  }

  /**
   * {@code R_i - mean of the other R_j of the group = n / (n - 1) (R_i - m)}: a baseline that does
   * not depend on the response, so that the gradient is unbiased.
   */
  public static double[] leaveOneOut(double[] rewards, int[] groups) {
    Groups by = new Groups(rewards, groups);
    double[] advantages = by.centred();
    for (int i = 0; i < advantages.length; i++) {
      double n = by.of(i).size();
      advantages[i] = n == 1 ? 0 : advantages[i] * (n / (n - 1));
      Groups.checkFits(i, advantages[i]);
    }
    return advantages;
  }

  /**
   * RLOO (arXiv 2402.14740): {@link #leaveOneOut} of rewards that pay for the divergence from a
   * reference, {@code R_i - klWeight sum_t (logProb_it - referenceLogProb_it)}.
   *
   * @param logRatios {@code [B]}: {@code sum_t (logProb_it - referenceLogProb_it)} of a response
   * @param klWeight {@code >= 0}
   */
  public static double[] rloo(double[] rewards, int[] groups, double[] logRatios, double klWeight) {
    checkArgument(
        logRatios.length == rewards.length,
        "logRatios: expected %s, one a reward, got %s",
        rewards.length,
        logRatios.length);
    checkArgument(
        klWeight >= 0 && klWeight < Double.POSITIVE_INFINITY,
        "klWeight: expected a finite number >= 0, got %s",
        klWeight);
    double[] paid = rewards.clone();
    for (int i = 0; i < paid.length; i++) {
      Groups.checkFinite("logRatios", i, logRatios[i]);
      paid[i] -= klWeight * logRatios[i];
    }
    return leaveOneOut(paid, groups);
  }

  /**
   * Generalized advantage estimation (arXiv 1506.02438), of each sequence by itself.
   *
   * <pre>
   *   delta_t = r_t + gamma v_t+1 - v_t          A_t = delta_t + gamma lambda A_t+1
   * </pre>
   *
   * @param rewards {@code [B][T_i]}
   * @param values {@code [B][T_i]} for sequences that ended, after which the value is 0, or {@code
   *     [B][T_i + 1]} for those that were cut off, with the value of what would have followed
   * @param gamma the discount, in [0, 1]
   * @param lambda in [0, 1]: 0 trusts the values, 1 the rewards
   * @return {@code [B][T_i]}; added to the values, they are the targets of the critic
   * @throws IllegalArgumentException if lengths do not fit or a number is out of range
   */
  public static double[][] gae(double[][] rewards, double[][] values, double gamma, double lambda) {
    checkArgument(gamma >= 0 && gamma <= 1, "gamma: expected 0 to 1, got %s", gamma);
    checkArgument(lambda >= 0 && lambda <= 1, "lambda: expected 0 to 1, got %s", lambda);
    checkArgument(
        values.length == rewards.length,
        "values: expected %s sequences as rewards has, got %s",
        rewards.length,
        values.length);
    double[][] advantages = new double[rewards.length][];
    for (int i = 0; i < rewards.length; i++) {
      int n = rewards[i].length;
      checkArgument(
          values[i].length == n || values[i].length == n + 1,
          "values[%s]: expected %s or one more as rewards[%s] has, got %s",
          i,
          n,
          i,
          values[i].length);
      advantages[i] = gae(rewards[i], values[i], gamma, lambda, i);
    }
    return advantages;
  }

  private static double[] gae(
      double[] rewards, double[] values, double gamma, double lambda, int sequence) {
    int n = rewards.length;
    double[] advantages = new double[n];
    double next = values.length > n ? values[n] : 0;
    double advantage = 0;
    for (int t = n - 1; t >= 0; t--) {
      double delta = rewards[t] + gamma * next - values[t];
      if (!Double.isFinite(delta)) {
        throw new IllegalArgumentException(
            ("rewards[" + sequence + "][" + t + "]: expected finite rewards and values, got ")
                + (rewards[t] + " with the values " + values[t] + " and " + next));
      }
      advantage = delta + gamma * lambda * advantage;
      advantages[t] = advantage;
      next = values[t];
    }
    return advantages;
  }
}
