package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Adds up {@code sum_i w_i sum_t (importance_it surrogate_it + klWeight k3_it)}, its gradient, and
 * what there is to report.
 */
final class LossSum {
  private final TokenBatch batch;
  private final Surrogate surrogate;
  private final double[] weights;
  private final double klWeight;
  private final double[][] gradient;
  private final DiagnosticsSum diagnostics;
  private double loss;

  private LossSum(TokenBatch batch, Surrogate surrogate, Aggregation aggregation, double klWeight) {
    check(batch, klWeight);
    this.batch = batch;
    this.surrogate = surrogate;
    this.weights = aggregation.weights(batch);
    this.klWeight = klWeight;
    this.gradient = new double[batch.sequences()][];
    this.diagnostics = new DiagnosticsSum(batch);
  }

  /** That there is something to average over, and a reference where one is needed. */
  static void check(TokenBatch batch, double klWeight) {
    checkArgument(
        klWeight == 0 || batch.hasReference(),
        "batch: expected reference log-probabilities since klWeight = %s, got none",
        klWeight);
    checkArgument(
        batch.counts().tokens() > 0,
        "batch: expected a token that counts in one of %s sequences, here or in the counts it is"
            + " within, got none",
        batch.counts().sequences());
  }

  static void checkKlWeight(double klWeight) {
    checkArgument(
        klWeight >= 0 && klWeight < Double.POSITIVE_INFINITY,
        "klWeight: expected a finite number >= 0, got %s",
        klWeight);
  }

  static LossResult of(
      TokenBatch batch, Surrogate surrogate, Aggregation aggregation, double klWeight) {
    LossSum sum = new LossSum(batch, surrogate, aggregation, klWeight);
    for (int i = 0; i < batch.sequences(); i++) {
      sum.gradient[i] = sum.sequence(i);
    }
    return new LossResult(checked(sum.loss), sum.gradient, sum.diagnostics.result());
  }

  static double checked(double loss) {
    checkArgument(
        Double.isFinite(loss),
        "batch: expected ratios and advantages whose products fit a double, got a loss of %s",
        loss);
    return loss;
  }

  /** Adds a sequence and returns its gradient. */
  private double[] sequence(int i) {
    double[] logRatios = surrogate.level().logRatios(batch, i);
    double[] slopes = new double[logRatios.length];
    for (int t = 0; t < slopes.length; t++) {
      if (batch.counts(i, t)) {
        slopes[t] = term(i, t, logRatios[t]);
      }
    }
    surrogate.level().carry(slopes, batch, i);
    for (int t = 0; t < slopes.length; t++) {
      slopes[t] = batch.counts(i, t) ? weights[i] * (slopes[t] + penalty(i, t)) : 0;
    }
    return slopes;
  }

  private double term(int i, int t, double logRatio) {
    double advantage = batch.advantage(i, t);
    double ratio = Math.exp(LogRatio.clamped(logRatio));
    double dRatio = LogRatio.moves(logRatio) ? ratio : 0;
    double importance = batch.importance(i, t);
    double slope = surrogate.slope(ratio, dRatio, advantage);
    loss += weights[i] * importance * surrogate.value(ratio, advantage, batch.logProb(i, t));
    diagnostics.add(i, t, ratio, surrogate.range(advantage), slope == 0);
    return importance * slope;
  }

  /** Adds the KL penalty of a token and returns its derivative. */
  private double penalty(int i, int t) {
    if (klWeight == 0) {
      return 0;
    }
    double d = LogRatio.clamped(batch.logReferenceRatio(i, t));
    double expm1 = Math.expm1(d); // exact where the policies nearly agree
    loss += weights[i] * klWeight * (expm1 - d);
    return LogRatio.moves(batch.logReferenceRatio(i, t)) ? -klWeight * expm1 : 0;
  }
}
