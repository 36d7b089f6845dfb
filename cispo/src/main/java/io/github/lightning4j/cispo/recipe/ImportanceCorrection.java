package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Corrects for a generator whose probabilities are not quite the trainer's: other kernels, other
 * precision, an older policy.
 *
 * <pre>
 *   TOKEN     rho_it = exp(trainer_it - generator_it)
 *   SEQUENCE  rho_it = exp(sum_t (trainer_it - generator_it))       the same for all tokens
 *
 *   TRUNCATE  weight = min(max(rho, min), max)
 *   MASK      weight = rho within [min, max], else 0
 * </pre>
 *
 * <p>The weights are constants that multiply the surrogate: {@link
 * io.github.lightning4j.cispo.TokenBatch#withImportance}. Log-ratios are clamped to &plusmn;20
 * before exp. Truncated importance sampling (TIS) of tokens keeps the variance low at the price of
 * a bias; masking sequences leaves out those that the trainer would hardly have made. TRL's
 * defaults are a mask over sequences and max = 3.
 *
 * @param level whose probability the ratio compares
 * @param action what happens outside the bounds
 * @param min {@code >= 0}
 * @param max {@code >= min}, and above 0; infinity for no bound
 */
public record ImportanceCorrection(Level level, Action action, double min, double max) {
  /** Whose probability a ratio compares. */
  public enum Level {
    TOKEN,
    SEQUENCE
  }

  /** What happens to a ratio outside the bounds. */
  public enum Action {
    TRUNCATE,
    MASK
  }

  /**
   * Checks the bounds.
   *
   * @throws IllegalArgumentException if they are NaN or not in order
   */
  public ImportanceCorrection {
    checkArgument(min >= 0, "min: expected >= 0, got %s", min);
    checkArgument(max > 0 && max >= min, "max: expected > 0 and >= min = %s, got %s", min, max);
    checkArgument(min < Double.POSITIVE_INFINITY, "min: expected a finite bound, got %s", min);
  }

  /** Token ratios cut at {@code max}, with no lower bound: TIS. */
  public static ImportanceCorrection truncated(Level level, double max) {
    return new ImportanceCorrection(level, Action.TRUNCATE, 0, max);
  }

  /** Tokens or sequences above {@code max} left out, with no lower bound: MIS. */
  public static ImportanceCorrection masked(Level level, double max) {
    return new ImportanceCorrection(level, Action.MASK, 0, max);
  }

  /**
   * The weights of all tokens, and how far apart the two policies are.
   *
   * @param trainer {@code [B][T_i]}: log-probabilities that the trainer computes for the policy
   *     that sampled
   * @param generator {@code [B][T_i]}: those that the generator sampled with, at its temperature
   *     and over the same words: after top-k or top-p they are not of the same distribution, and
   *     ratios are biased
   * @param mask {@code [B][T_i]}: which tokens count; weights of others are 1
   * @throws IllegalArgumentException if lengths differ, no token counts, or a token that counts has
   *     a log-probability that is not finite; the message names argument, sequence and position
   */
  public ImportanceWeights weigh(double[][] trainer, double[][] generator, boolean[][] mask) {
    MismatchSum sum = new MismatchSum();
    double[][] weights = new double[trainer.length][];
    checkLengths("generator", generator.length, trainer.length);
    checkLengths("mask", mask.length, trainer.length);
    for (int i = 0; i < weights.length; i++) {
      checkLengths("generator[" + i + "]", generator[i].length, trainer[i].length);
      checkLengths("mask[" + i + "]", mask[i].length, trainer[i].length);
      weights[i] = sequence(trainer[i], generator[i], mask[i], i, sum);
    }
    return sum.result(weights);
  }

  private double[] sequence(
      double[] trainer, double[] generator, boolean[] mask, int sequence, MismatchSum sum) {
    double total = 0;
    for (int t = 0; t < trainer.length; t++) {
      if (mask[t]) {
        checkFinite("trainer", sequence, t, trainer[t]);
        checkFinite("generator", sequence, t, generator[t]);
        total += trainer[t] - generator[t];
      }
    }
    double[] weights = new double[trainer.length];
    for (int t = 0; t < weights.length; t++) {
      weights[t] = 1;
      if (mask[t]) {
        double own = trainer[t] - generator[t];
        double ratio = Math.exp(clamped(level == Level.TOKEN ? own : total));
        weights[t] = weight(ratio);
        sum.add(clamped(own), ratio, weights[t]);
      }
    }
    return weights;
  }

  private double weight(double ratio) {
    boolean inside = ratio >= min && ratio <= max;
    if (action == Action.MASK) {
      return inside ? ratio : 0;
    }
    return Math.min(max, Math.max(min, ratio));
  }

  private static double clamped(double logRatio) {
    return Math.max(-20, Math.min(20, logRatio));
  }

  private static void checkLengths(String name, int got, int expected) {
    checkArgument(got == expected, "%s: expected %s as trainer has, got %s", name, expected, got);
  }

  private static void checkFinite(String name, int sequence, int position, double value) {
    if (!Double.isFinite(value)) {
      throw new IllegalArgumentException(
          (name + "[" + sequence + "][" + position + "]: ")
              + ("expected a finite log-probability, got " + value));
    }
  }
}
