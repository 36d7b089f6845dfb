package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * CISPO: REINFORCE with clipped importance weights. Unlike PPO's clipping, which silences a token,
 * this one only limits how loudly it speaks.
 *
 * <pre>
 *   surrogate_it = -sg(clip(r_it, weights)) M_it A_i logProb_it
 *   M_it = 0 if A_i &gt; 0 and r_it &gt; trustRegion.upper,
 *            or A_i &lt; 0 and r_it &lt; trustRegion.lower; else 1
 *   gradient_it = -clip(r_it, weights) M_it A_i / N,   N tokens count
 * </pre>
 *
 * <p>{@code sg} stops gradients: the weight is a constant, so the gradient is not the derivative of
 * the value with respect to a log-probability on which the ratio depends too. Without a trust
 * region M = 1. With unbounded weights and a trust region the gradient is PPO's.
 *
 * <p><b>The bound has two conventions.</b> The paper, verl and slime write {@code 1 + epsilonHigh}:
 * {@link #paper}. TRL, ms-swift and ScaleRL write the bound itself: {@link #trl}. So {@code
 * paper(4)} is {@code trl(5)}, and a PPO-like {@code trl(0.2)} would weigh nearly all tokens 0.2.
 *
 * <p>Source: MiniMax-M1 (arXiv 2506.13585), equations 4 to 7.
 *
 * @param weights the range that ratios are clipped to before they weigh a token
 * @param trustRegion where the mask M lets tokens pass; {@link ClipRange#UNBOUNDED} for no mask
 * @param klWeight see {@link PolicyLoss}
 */
public record Cispo(ClipRange weights, ClipRange trustRegion, double klWeight)
    implements PolicyLoss {

  /**
   * Checks the weight of the penalty.
   *
   * @throws IllegalArgumentException if it is negative or not finite
   */
  public Cispo {
    LossSum.checkKlWeight(klWeight);
  }

  /**
   * {@code min(r, maxWeight)}, no mask, no KL penalty.
   *
   * @param maxWeight {@code > 0}; infinity gives REINFORCE with importance weights
   * @throws IllegalArgumentException if it is not
   */
  public static Cispo maxWeight(double maxWeight) {
    checkArgument(maxWeight > 0, "maxWeight: expected > 0, got %s", maxWeight);
    return ofWeights(new ClipRange(0, maxWeight));
  }

  /**
   * {@code min(r, 1 + epsilonHigh)}: the paper's loss as the paper uses it, without a lower bound.
   *
   * @throws IllegalArgumentException if {@code epsilonHigh} is negative or NaN
   */
  public static Cispo paper(double epsilonHigh) {
    return paper(1, epsilonHigh);
  }

  /**
   * {@code clip(r, 1 - epsilonLow, 1 + epsilonHigh)}: the paper's notation, and that of verl and
   * slime.
   *
   * @throws IllegalArgumentException if an epsilon is negative or NaN
   */
  public static Cispo paper(double epsilonLow, double epsilonHigh) {
    return ofWeights(ClipRange.ofEpsilons(epsilonLow, epsilonHigh));
  }

  /**
   * {@code min(r, epsilonHigh)}: what TRL and ms-swift do with {@code epsilon_high}, and ScaleRL
   * with its epsilon_max; usually 5.
   *
   * @throws IllegalArgumentException if {@code epsilonHigh} is not positive
   */
  public static Cispo trl(double epsilonHigh) {
    checkArgument(epsilonHigh > 0, "epsilonHigh: expected > 0, got %s", epsilonHigh);
    return maxWeight(epsilonHigh);
  }

  private static Cispo ofWeights(ClipRange weights) {
    return new Cispo(weights, ClipRange.UNBOUNDED, 0);
  }

  /** The unified form: the same with the mask M. */
  public Cispo withTrustRegion(ClipRange newTrustRegion) {
    return new Cispo(weights, newTrustRegion, klWeight);
  }

  /** The same with a KL penalty. */
  public Cispo withKl(double newKlWeight) {
    return new Cispo(weights, trustRegion, newKlWeight);
  }

  @Override
  public LossResult evaluate(TokenBatch batch) {
    LossSum sum = new LossSum(batch, new Aggregation.TokenMean(), weights, klWeight);
    for (int i = 0; i < batch.sequences(); i++) {
      double advantage = batch.advantage(i);
      double[] ratios = RatioLevel.TOKEN.ratios(batch, i);
      for (int t = 0; t < ratios.length; t++) {
        if (batch.counts(i, t)) {
          double mask = trustRegion.stops(ratios[t], advantage) ? 0 : 1;
          double slope = -weights.clip(ratios[t]) * mask * advantage;
          sum.add(i, t, ratios[t], slope * batch.logProb(i, t), slope);
        }
      }
    }
    return sum.result();
  }
}
