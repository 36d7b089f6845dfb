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
    for (int i = 0; i < mask.length; i++) {
      checkTokens("mask", i, mask[i].length);
    }
  }

  /** One finite number a sequence. */
  void sequences(String name, double[] values) {
    checkArgument(
        values.length == logProbs.length,
        "%s: expected %s, one a sequence, got %s",
        name,
        logProbs.length,
        values.length);
    for (int i = 0; i < values.length; i++) {
      if (!Double.isFinite(values[i])) {
        throw new IllegalArgumentException(
            name + "[" + i + "]: expected a finite number, got " + values[i]);
      }
    }
  }

  void groups(int[] groups) {
    checkArgument(
        groups.length == logProbs.length,
        "groups: expected %s, one a sequence, got %s",
        logProbs.length,
        groups.length);
    for (int i = 0; i < groups.length; i++) {
      checkArgument(
          groups[i] >= 0 && groups[i] < BatchCounts.MAX_GROUPS,
          "groups[%s]: expected 0 to %s, counted from 0 through all parts, got %s",
          i,
          BatchCounts.MAX_GROUPS - 1,
          groups[i]);
    }
  }

  /** As long as the log-probabilities, and finite where tokens count. */
  void table(String name, double[][] table, String what) {
    checkArgument(
        table.length == logProbs.length,
        "%s: expected %s sequences as logProbs has, got %s",
        name,
        logProbs.length,
        table.length);
    for (int i = 0; i < table.length; i++) {
      checkTokens(name, i, table[i].length);
    }
    for (int i = 0; i < table.length; i++) {
      for (int t = 0; t < table[i].length; t++) {
        if (mask[i][t] && !Double.isFinite(table[i][t])) {
          throw new IllegalArgumentException(
              at(name, i, t) + "expected a finite " + what + ", got " + table[i][t]);
        }
      }
    }
  }

  void notNegative(String name, double[][] table) {
    for (int i = 0; i < table.length; i++) {
      for (int t = 0; t < table[i].length; t++) {
        if (mask[i][t] && table[i][t] < 0) {
          throw new IllegalArgumentException(
              at(name, i, t) + "expected a number >= 0, got " + table[i][t]);
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
