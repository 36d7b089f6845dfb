package io.github.lightning4j.cispo.recipe;

import static com.google.common.base.Preconditions.checkArgument;

/** Gathers {@link ImportanceWeights} token by token. */
final class MismatchSum {
  private long tokens;
  private long changed;
  private double ratios;
  private double most;
  private double weights;
  private double squares;
  private double k1;
  private double k3;
  private double chiSquare;

  /**
   * Takes a token.
   *
   * @param logRatio the token's own
   * @param ratio of the token or its sequence
   * @param weight what became of the ratio
   */
  void add(double logRatio, double ratio, double weight) {
    tokens++;
    changed += weight != ratio ? 1 : 0;
    ratios += ratio;
    most = Math.max(most, ratio);
    weights += weight;
    squares += weight * weight;
    k1 -= logRatio;
    k3 += Math.expm1(logRatio) - logRatio;
    chiSquare += Math.expm1(2 * logRatio);
  }

  ImportanceWeights result(double[][] each) {
    checkArgument(
        tokens > 0,
        "mask: expected a token that counts in one of %s sequences, got none",
        each.length);
    double n = tokens;
    return new ImportanceWeights(
        each,
        changed / n,
        ratios / n,
        most,
        squares == 0 ? 0 : weights * weights / (n * squares),
        k1 / n,
        k3 / n,
        chiSquare / n,
        Math.exp(k1 / n));
  }
}
