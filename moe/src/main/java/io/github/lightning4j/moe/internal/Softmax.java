package io.github.lightning4j.moe.internal;

/** Softmax and top-k of one row of logits, in double. */
public final class Softmax {
  private Softmax() {}

  /** Whether the logits are numbers below infinity and at least one is finite. */
  public static boolean defined(double[] logits) {
    double high = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      if (Double.isNaN(logit) || logit == Double.POSITIVE_INFINITY) {
        return false;
      }
      high = Math.max(high, logit);
    }
    return high > Double.NEGATIVE_INFINITY;
  }

  /** {@code p_i = exp(l_i - max l) / sum_j exp(l_j - max l)}. */
  public static double[] probabilities(double[] logits) {
    double high = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      high = Math.max(high, logit);
    }
    double[] p = new double[logits.length];
    double total = 0;
    for (int i = 0; i < p.length; i++) {
      p[i] = Math.exp(logits[i] - high);
      total += p[i];
    }
    for (int i = 0; i < p.length; i++) {
      p[i] /= total;
    }
    return p;
  }

  /** {@code log sum_i exp(l_i)}. */
  public static double logSumExp(double[] logits) {
    double high = Double.NEGATIVE_INFINITY;
    for (double logit : logits) {
      high = Math.max(high, logit);
    }
    double total = 0;
    for (double logit : logits) {
      total += Math.exp(logit - high);
    }
    return high + Math.log(total);
  }

  /** The places of the k largest values, largest first; of equals the lowest first. */
  public static int[] largest(double[] values, int k) {
    int[] chosen = new int[k];
    boolean[] taken = new boolean[values.length];
    for (int slot = 0; slot < k; slot++) {
      int best = -1;
      for (int i = 0; i < values.length; i++) {
        if (!taken[i] && (best < 0 || values[i] > values[best])) {
          best = i;
        }
      }
      taken[best] = true;
      chosen[slot] = best;
    }
    return chosen;
  }
}
