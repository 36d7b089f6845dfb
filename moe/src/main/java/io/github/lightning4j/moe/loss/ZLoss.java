package io.github.lightning4j.moe.loss;

/**
 * The router z-loss, which keeps logits small; summed over the layers.
 *
 * <pre>
 *   z = mean over tokens of lse(logits)^2,   lse(l) = log sum_e exp(l_e)
 *   dlogits = 2 lse softmax(logits) / T
 * </pre>
 *
 * <p>The mean is over the tokens of this rank that count, whatever the score. Source: ST-MoE (arXiv
 * 2202.08906), eq. 5.
 *
 * @param coefficient the weight of the loss, usually 0.001
 */
public record ZLoss(double coefficient) implements LossTerm {
  /**
   * Validates.
   *
   * @throws IllegalArgumentException if the coefficient is negative or not finite
   */
  public ZLoss {
    LossTerm.checkCoefficient(coefficient);
  }
}
