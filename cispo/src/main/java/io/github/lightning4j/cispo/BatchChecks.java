package io.github.lightning4j.cispo;

import static com.google.common.base.Preconditions.checkArgument;

/** What must hold of the tables of a {@link TokenBatch}. */
final class BatchChecks {
  private final double[][] logProbs;
  private final boolean[][] mask;

  BatchChecks(double[][] logProbs, boolean[][] mask) {
    this.logProbs = logProbs;
    this.mask = mask;
    checkArgument(
        mask.length == logProbs.length,
        "mask: expected %s sequences as logProbs has, got %s",
        logProbs.length,
        mask.length);
    boolean any = false;
    for (int i = 0; i < mask.length; i++) {
      checkTokens("mask", i, mask[i].length);
      for (boolean counts : mask[i]) {
        any |= counts;
      }
    }
    checkArgument(
        any, "mask: expected a token that counts in one of %s sequences, got none", mask.length);
  }

  void advantages(double[] advantages) {
    checkArgument(
        advantages.length == logProbs.length,
        "advantages: expected %s, one a sequence, got %s",
        logProbs.length,
        advantages.length);
    for (int i = 0; i < advantages.length; i++) {
      if (!Double.isFinite(advantages[i])) {
        throw new IllegalArgumentException(
            "advantages[" + i + "]: expected a finite number, got " + advantages[i]);
      }
    }
  }

  void logProbs() {
    finite("logProbs", logProbs);
  }

  /** Another policy's table: of the same shape, finite, and not too far from the learning one's. */
  void logProbsNear(String name, double[][] table, double most) {
    checkArgument(
        table.length == logProbs.length,
        "%s: expected %s sequences as logProbs has, got %s",
        name,
        logProbs.length,
        table.length);
    for (int i = 0; i < table.length; i++) {
      checkTokens(name, i, table[i].length);
    }
    finite(name, table);
    for (int i = 0; i < table.length; i++) {
      for (int t = 0; t < table[i].length; t++) {
        if (mask[i][t] && !(Math.abs(logProbs[i][t] - table[i][t]) <= most)) {
          throw new IllegalArgumentException(
              at(name, i, t)
                  + ("expected at most " + most + " away from logProbs = " + logProbs[i][t])
                  + (", got " + table[i][t]));
        }
      }
    }
  }

  private void finite(String name, double[][] table) {
    for (int i = 0; i < table.length; i++) {
      for (int t = 0; t < table[i].length; t++) {
        if (mask[i][t] && !Double.isFinite(table[i][t])) {
          throw new IllegalArgumentException(
              at(name, i, t) + "expected a finite log-probability, got " + table[i][t]);
        }
      }
    }
  }

  private void checkTokens(String name, int sequence, int tokens) {
    checkArgument(
        tokens == logProbs[sequence].length,
        "%s[%s]: expected %s tokens as logProbs[%s] has, got %s",
        name,
        sequence,
        logProbs[sequence].length,
        sequence,
        tokens);
  }

  private static String at(String name, int sequence, int position) {
    return name + "[" + sequence + "][" + position + "]: ";
  }
}
