package io.github.lightning4j.moe.internal;

/** Sigmoid scores of one row of logits, in double. */
public final class Sigmoid {
  private Sigmoid() {}

  /** {@code 1 / (1 + e^-x)}. */
  public static double of(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  /**
   * {@code p_i = s_i / sum_j s_j}, s the sigmoid of the logits. Numerator and denominator are taken
   * times {@code e^-min(max l, 0)}, so that they do not vanish where all logits are far below 0.
   */
  public static double[] shares(double[] logits) {
    double high = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      high = Math.max(high, logit);
    }
    double shift = Math.min(high, 0);
    double[] p = new double[logits.length];
    double total = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] = Math.exp(Math.min(logits[i], 0) - shift) / (1 + Math.exp(-Math.abs(logits[i])));
      total += p[i];
    }
    for (int i = 0; i < p.length; i++) {
      p[i] /= total;
    }
    return p;
  }
}
