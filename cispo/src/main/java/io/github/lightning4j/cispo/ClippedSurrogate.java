package io.github.lightning4j.cispo;

/**
 * PPO's clipped objective and the losses that share it.
 *
 * <pre>
 *   surrogate_it = -min(r_it A_it, clip(r_it) A_it)
 *   gradient_it = -w_i r_it A_it where the first is not the larger, else 0
 * </pre>
 *
 * <table>
 *   <caption>The losses by name</caption>
 *   <tr><th>loss</th><th>ratio</th><th>aggregation</th></tr>
 *   <tr><td>GRPO</td><td>token</td><td>mean over sequences of the mean over tokens</td></tr>
 *   <tr><td>BNPO, DAPO</td><td>token</td><td>mean over tokens</td></tr>
 *   <tr><td>Dr.GRPO</td><td>token</td><td>sum over a constant</td></tr>
 *   <tr><td>GSPO</td><td>sequence</td><td>as GRPO</td></tr>
 * </table>
 *
 * <p>Both gradients are exact derivatives of the value: a sequence's ratio s depends on each of its
 * n tokens by {@code ds / dlogProb = s / n}, and weighs n of them.
 *
 * @param clip the range of ratios
 * @param level whose ratio it is
 * @param aggregation how tokens are averaged
 * @param klWeight see {@link PolicyLoss}
 */
public record ClippedSurrogate(
    ClipRange clip, RatioLevel level, Aggregation aggregation, double klWeight)
    implements PolicyLoss {

  /**
   * Checks the weight of the penalty.
   *
   * @throws IllegalArgumentException if it is negative or not finite
   */
  public ClippedSurrogate {
    LossSum.checkKlWeight(klWeight);
  }

  /**
   * GRPO (arXiv 2402.03300), without its KL penalty; the paper adds 0.04 of it.
   *
   * @throws IllegalArgumentException if {@code epsilon} is negative or NaN, as in all below
   */
  public static ClippedSurrogate grpo(double epsilon) {
    return ofTokens(epsilon, new Aggregation.SequenceMean());
  }

  /** TRL's BNPO: GRPO with the mean over the tokens of the batch. */
  public static ClippedSurrogate bnpo(double epsilon) {
    return ofTokens(epsilon, new Aggregation.TokenMean());
  }

  /**
   * DAPO (arXiv 2503.14476): BNPO with room upwards, 0.2 and 0.28 in the paper. Its sampling and
   * its length penalty are not part of the loss.
   */
  public static ClippedSurrogate dapo(double epsilonLow, double epsilonHigh) {
    return ofTokens(ClipRange.ofEpsilons(epsilonLow, epsilonHigh), new Aggregation.TokenMean());
  }

  /**
   * Dr.GRPO (arXiv 2503.20783): no division by the length of a response.
   *
   * @param maxLength the most tokens a response may have, {@code >= 1}
   */
  public static ClippedSurrogate drGrpo(double epsilon, int maxLength) {
    return ofTokens(epsilon, new Aggregation.FixedLength(maxLength));
  }

  /** GSPO (arXiv 2507.18071): ratios of sequences, clipped at 3e-4 and 4e-4 in the paper. */
  public static ClippedSurrogate gspo(double epsilonLow, double epsilonHigh) {
    ClipRange clip = ClipRange.ofEpsilons(epsilonLow, epsilonHigh);
    return new ClippedSurrogate(clip, RatioLevel.SEQUENCE, new Aggregation.SequenceMean(), 0);
  }

  private static ClippedSurrogate ofTokens(double epsilon, Aggregation aggregation) {
    return ofTokens(ClipRange.ofEpsilons("epsilon", epsilon, "epsilon", epsilon), aggregation);
  }

  private static ClippedSurrogate ofTokens(ClipRange clip, Aggregation aggregation) {
    return new ClippedSurrogate(clip, RatioLevel.TOKEN, aggregation, 0);
  }

  /** The same with a KL penalty, which is always one of tokens. */
  public ClippedSurrogate withKl(double newKlWeight) {
    return new ClippedSurrogate(clip, level, aggregation, newKlWeight);
  }

  /** The same with another average. */
  public ClippedSurrogate withAggregation(Aggregation newAggregation) {
    return new ClippedSurrogate(clip, level, newAggregation, klWeight);
  }

  @Override
  public LossResult evaluate(TokenBatch batch) {
    return LossSum.of(batch, new Clipped(this), aggregation, klWeight);
  }

  private record Clipped(ClippedSurrogate loss) implements Surrogate {
    @Override
    public RatioLevel level() {
      return loss.level;
    }

    @Override
    public ClipRange range(double advantage) {
      return loss.clip;
    }

    @Override
    public double value(double ratio, double advantage, double logProb) {
      return -Math.min(ratio * advantage, loss.clip.clip(ratio) * advantage);
    }

    @Override
    public double slope(double ratio, double dRatio, double advantage) {
      boolean free = ratio * advantage <= loss.clip.clip(ratio) * advantage;
      return free ? -(dRatio * advantage) : 0;
    }
  }
}
