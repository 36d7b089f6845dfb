package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * CISPO: REINFORCE with clipped importance weights. Unlike PPO's clipping, which silences a token,
 * this one only limits how loudly it speaks.
 *
 * <pre>
 *   surrogate_it = -sg(clip(r_it)) M_it A_it logProb_it
 *   clip to the range positive if A_it &gt; 0, else to negative
 *   M_it = 0 if A_it &gt; 0 and r_it &gt; trustRegion.upper,
 *            or A_it &lt; 0 and r_it &lt; trustRegion.lower; else 1
 *   gradient_it = -clip(r_it) M_it A_it w_i
 * </pre>
 *
 * <p>{@code sg} stops gradients: the weight is a constant, so the gradient is not the derivative of
 * the value with respect to a log-probability on which the ratio depends too. Without a trust
 * region M = 1. With unbounded weights and a trust region the gradient is PPO's.
 *
 * <p><b>The bound has two conventions.</b> The paper, verl, ROLL, slime and open-instruct write
 * {@code 1 + epsilonHigh}; TRL, ms-swift and ScaleRL write the bound itself. So {@code paper(4)} is
 * {@code trl(5)}, and a PPO-like {@code trl(0.2)} would weigh nearly all tokens 0.2. The factories
 * are named after whose numbers they take.
 *
 * <p>Source: MiniMax-M1 (arXiv 2506.13585), equations 4 to 7; bounds by sign are DISPO's (arXiv
 * 2602.00983).
 *
 * @param positive the range that ratios are clipped to before they weigh a token of positive
 *     advantage
 * @param negative the same for all other tokens
 * @param trustRegion where the mask M lets tokens pass; {@link ClipRange#UNBOUNDED} for no mask
 * @param aggregation how tokens are averaged; {@link Aggregation.TokenMean} in all factories
 * @param klWeight see {@link PolicyLoss}
 */
public record Cispo(
    ClipRange positive,
    ClipRange negative,
    ClipRange trustRegion,
    Aggregation aggregation,
    double klWeight)
    implements PolicyLoss {

  /**
   * Checks the weight of the penalty.
   *
   * @throws IllegalArgumentException if it is negative or not finite
   */
  public Cispo {
    LossSum.checkKlWeight(klWeight);
  }

  /** The same range for both signs, no mask, no KL penalty. */
  public static Cispo ofWeights(ClipRange weights) {
    return bySign(weights, weights);
  }

  /** A range for each sign of the advantage: four bounds. No mask, no KL penalty. */
  public static Cispo bySign(ClipRange positive, ClipRange negative) {
    return new Cispo(positive, negative, ClipRange.UNBOUNDED, new Aggregation.TokenMean(), 0);
  }

  /**
   * {@code min(r, maxWeight)}.
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
   * {@code clip(r, 1 - epsilonLow, 1 + epsilonHigh)}: the paper's notation.
   *
   * @throws IllegalArgumentException if an epsilon is negative or NaN
   */
  public static Cispo paper(double epsilonLow, double epsilonHigh) {
    return ofWeights(ClipRange.ofEpsilons(epsilonLow, epsilonHigh));
  }

  /**
   * {@code min(r, epsilonHigh)}: TRL's {@code epsilon_high} under {@code loss_type="cispo"}. Left
   * unset there, it is 0.2, a nearly constant weight; its documentation recommends 5.
   *
   * @throws IllegalArgumentException if {@code epsilonHigh} is not positive
   */
  public static Cispo trl(double epsilonHigh) {
    checkArgument(epsilonHigh > 0, "epsilonHigh: expected > 0, got %s", epsilonHigh);
    return maxWeight(epsilonHigh);
  }

  /** {@code min(r, epsilonHigh)}: ms-swift's {@code epsilon_high}, as {@link #trl}. */
  public static Cispo msSwift(double epsilonHigh) {
    return trl(epsilonHigh);
  }

  /**
   * {@code min(r, epsilonMax)}, the mean over groups: ScaleRL's, insensitive between 4 and 8.
   *
   * @throws IllegalArgumentException if {@code epsilonMax} is not positive
   */
  public static Cispo scaleRl(double epsilonMax) {
    checkArgument(epsilonMax > 0, "epsilonMax: expected > 0, got %s", epsilonMax);
    return maxWeight(epsilonMax).withAggregation(new Aggregation.GroupMean());
  }

  /** {@code clip(r, 1 - low, 1 + high)}: verl's clip ratios; both are 0.2 unless set there. */
  public static Cispo verl(double clipRatioLow, double clipRatioHigh) {
    return ofWeights(
        ClipRange.ofEpsilons("clipRatioLow", clipRatioLow, "clipRatioHigh", clipRatioHigh));
  }

  /** {@code clip(r, 1 - low, 1 + high)}: ROLL's; both are 0.1 unless set there. */
  public static Cispo roll(double clipLow, double clipHigh) {
    return ofWeights(ClipRange.ofEpsilons("clipLow", clipLow, "clipHigh", clipHigh));
  }

  /**
   * {@code clip(r, 1 - epsClip, 1 + epsClipHigh)}, the mean over sequences: slime's, which suggests
   * 1 (no lower bound) and 4.
   */
  public static Cispo slime(double epsClip, double epsClipHigh) {
    return ofWeights(ClipRange.ofEpsilons("epsClip", epsClip, "epsClipHigh", epsClipHigh))
        .withAggregation(new Aggregation.SequenceMean());
  }

  /** {@code min(r, 1 + clipHigher)}: open-instruct's. */
  public static Cispo openInstruct(double clipHigher) {
    checkArgument(clipHigher >= 0, "clipHigher: expected >= 0, got %s", clipHigher);
    return paper(clipHigher);
  }

  /**
   * The same with a floor under the weights, for both signs.
   *
   * @param minWeight {@code >= 0}, finite and at most the caps; 0 for none
   * @throws IllegalArgumentException if it is not
   */
  public Cispo withMinWeight(double minWeight) {
    double cap = Math.min(positive.upper(), negative.upper());
    checkArgument(
        minWeight >= 0 && minWeight <= cap && minWeight < Double.POSITIVE_INFINITY,
        "minWeight: expected finite, >= 0 and <= the cap = %s, got %s",
        cap,
        minWeight);
    return new Cispo(
        new ClipRange(minWeight, positive.upper()),
        new ClipRange(minWeight, negative.upper()),
        trustRegion,
        aggregation,
        klWeight);
  }

  /** The unified form: the same with the mask M. */
  public Cispo withTrustRegion(ClipRange newTrustRegion) {
    return new Cispo(positive, negative, newTrustRegion, aggregation, klWeight);
  }

  /** The same with another average. */
  public Cispo withAggregation(Aggregation newAggregation) {
    return new Cispo(positive, negative, trustRegion, newAggregation, klWeight);
  }

  /** The same with a KL penalty. */
  public Cispo withKl(double newKlWeight) {
    return new Cispo(positive, negative, trustRegion, aggregation, newKlWeight);
  }

  @Override
  public LossResult evaluate(TokenBatch batch) {
    return LossSum.of(batch, new Weighted(this), aggregation, klWeight);
  }

  private record Weighted(Cispo loss) implements Surrogate {
    @Override
    public RatioLevel level() {
      return RatioLevel.TOKEN;
    }

    @Override
    public ClipRange range(double advantage) {
      return advantage > 0 ? loss.positive : loss.negative;
    }

    @Override
    public double value(double ratio, double advantage, double logProb) {
      return slope(ratio, ratio, advantage) * logProb;
    }

    @Override
    public double slope(double ratio, double dRatio, double advantage) {
      if (loss.trustRegion.stops(ratio, advantage)) {
        return 0;
      }
      return -(range(advantage).clip(ratio) * advantage);
    }
  }
}
