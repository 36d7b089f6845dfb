package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * The numbers of AdamW, for trainers to hand to their optimizer.
 *
 * <pre>
 *   m = beta1 m + (1 - beta1) g          v = beta2 v + (1 - beta2) g^2
 *   w = w - learningRate (m / (1 - beta1^k) / (sqrt(v / (1 - beta2^k)) + epsilon) + weightDecay w)
 * </pre>
 *
 * <p>MiniMax-M1 saw gradients of 1e-18 to 1e-5, most below 1e-14, and little correlation between
 * steps: with the usual epsilon of 1e-8 nearly nothing moves, and with beta2 = 0.999 training did
 * not converge (arXiv 2506.13585, section 3.2).
 *
 * @param learningRate {@code > 0}
 * @param beta1 in [0, 1)
 * @param beta2 in [0, 1)
 * @param epsilon {@code > 0}
 * @param weightDecay {@code >= 0}
 */
public record AdamWOptions(
    double learningRate, double beta1, double beta2, double epsilon, double weightDecay) {
  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is out of range
   */
  public AdamWOptions {
    checkPositive("learningRate", learningRate);
    checkBeta("beta1", beta1);
    checkBeta("beta2", beta2);
    checkPositive("epsilon", epsilon);
    checkArgument(
        weightDecay >= 0 && weightDecay < Double.POSITIVE_INFINITY,
        "weightDecay: expected a finite number >= 0, got %s",
        weightDecay);
  }

  /** MiniMax-M1's 0.9, 0.95 and 1e-15, without weight decay; it published no learning rate. */
  public static AdamWOptions minimaxM1(double learningRate) {
    return new AdamWOptions(learningRate, 0.9, 0.95, 1e-15, 0);
  }

  private static void checkPositive(String name, double value) {
    checkArgument(
        value > 0 && value < Double.POSITIVE_INFINITY,
        "%s: expected a finite number > 0, got %s",
        name,
        value);
  }

  private static void checkBeta(String name, double beta) {
    checkArgument(beta >= 0 && beta < 1, "%s: expected 0 to below 1, got %s", name, beta);
  }
}
