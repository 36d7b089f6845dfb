package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * SAPO: a smooth gate in place of PPO's clipping.
 *
 * <pre>
 *   surrogate_it = -gate(r_it) A_it           gate(r) = 4 / tau sigmoid(tau (r - 1))
 *   gradient_it = -4 s (1 - s) r_it A_it w_i,  s = sigmoid(tau (r_it - 1))
 * </pre>
 *
 * <p>At r = 1 the gradient is that of the unclipped surrogate; away from it, it fades on both
 * sides, the faster the larger tau. Source: Soft Adaptive Policy Optimization (arXiv 2511.20347).
 *
 * @param positive tau of tokens with a positive advantage, {@code > 0}
 * @param negative tau of all others, {@code > 0}
 * @param aggregation how tokens are averaged
 * @param klWeight see {@link PolicyLoss}
 */
public record Sapo(double positive, double negative, Aggregation aggregation, double klWeight)
    implements PolicyLoss {
  /** The paper's: 1 and 1.05, the mean over sequences of the mean over tokens. */
  public static final Sapo DEFAULT = new Sapo(1, 1.05, new Aggregation.SequenceMean(), 0);

  /**
   * Checks the temperatures and the weight of the penalty.
   *
   * @throws IllegalArgumentException if one is out of range
   */
  public Sapo {
    checkTau("positive", positive);
    checkTau("negative", negative);
    LossSum.checkKlWeight(klWeight);
  }

  private static void checkTau(String name, double tau) {
    checkArgument(
        tau > 0 && tau < Double.POSITIVE_INFINITY,
        "%s: expected a finite number > 0, got %s",
        name,
        tau);
  }

  /** The same with another average. */
  public Sapo withAggregation(Aggregation newAggregation) {
    return new Sapo(positive, negative, newAggregation, klWeight);
  }

  /** The same with a KL penalty. */
  public Sapo withKl(double newKlWeight) {
    return new Sapo(positive, negative, aggregation, newKlWeight);
  }

  @Override
  public LossResult evaluate(TokenBatch batch) {
    return LossSum.of(batch, new Gate(this), aggregation, klWeight);
  }

  private record Gate(Sapo loss) implements Surrogate {
    @Override
    public RatioLevel level() {
      return RatioLevel.TOKEN;
    }

    @Override
    public ClipRange range(double advantage) {
      return ClipRange.UNBOUNDED;
    }

    private double tau(double advantage) {
      return advantage > 0 ? loss.positive : loss.negative;
    }

    private double sigmoid(double ratio, double advantage) {
      return 1 / (1 + Math.exp(-tau(advantage) * (ratio - 1)));
    }

    @Override
    public double value(double ratio, double advantage, double logProb) {
      return -4 / tau(advantage) * sigmoid(ratio, advantage) * advantage;
    }

    @Override
    public double slope(double ratio, double dRatio, double advantage) {
      double s = sigmoid(ratio, advantage);
      return -4 * s * (1 - s) * dRatio * advantage;
    }
  }
}
