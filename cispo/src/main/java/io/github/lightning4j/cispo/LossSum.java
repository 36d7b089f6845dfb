package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Adds up {@code sum_i w_i sum_t (surrogate_it + klWeight k3_it)}, its gradient, and the ratios
 * that left a range.
 */
final class LossSum {
  private final TokenBatch batch;
  private final double[] weights;
  private final ClipRange range;
  private final double klWeight;
  private final double[][] gradient;
  private double loss;
  private long above;
  private long below;

  LossSum(TokenBatch batch, Aggregation aggregation, ClipRange range, double klWeight) {
    checkArgument(
        klWeight == 0 || batch.hasReference(),
        "batch: expected reference log-probabilities since klWeight = %s, got none",
        klWeight);
    this.batch = batch;
    this.weights = aggregation.weights(batch);
    this.range = range;
    this.klWeight = klWeight;
    this.gradient = new double[batch.sequences()][];
    for (int i = 0; i < gradient.length; i++) {
      gradient[i] = new double[batch.length(i)];
    }
  }

  static void checkKlWeight(double klWeight) {
    checkArgument(
        klWeight >= 0 && klWeight < Double.POSITIVE_INFINITY,
        "klWeight: expected a finite number >= 0, got %s",
        klWeight);
  }

  /** Takes in one token: its ratio, its surrogate, and the slope that this gives its gradient. */
  void add(int i, int t, double ratio, double surrogate, double slope) {
    above += ratio > range.upper() ? 1 : 0;
    below += ratio < range.lower() ? 1 : 0;
    double k3 = 0;
    double k3Slope = 0;
    if (klWeight > 0) {
      double d = batch.logReferenceRatio(i, t);
      double expm1 = Math.expm1(d); // exact where the policies nearly agree
      k3 = expm1 - d;
      k3Slope = -expm1;
    }
    loss += weights[i] * (surrogate + klWeight * k3);
    gradient[i][t] = weights[i] * (slope + klWeight * k3Slope);
  }

  LossResult result() {
    checkArgument(
        Double.isFinite(loss),
        "batch: expected ratios and advantages whose products fit a double, got a loss of %s",
        loss);
    double tokens = batch.tokens();
    return new LossResult(loss, gradient, above / tokens, below / tokens);
  }
}
