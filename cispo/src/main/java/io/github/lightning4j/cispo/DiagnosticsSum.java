package io.github.lightning4j.cispo;

import java.util.BitSet;

/** Gathers {@link Diagnostics} token by token. */
final class DiagnosticsSum {
  private final TokenBatch batch;
  private final long[] above = new long[3];
  private final long[] below = new long[3];
  private final long[] stopped = new long[3];
  private final long[] tokens = new long[3];
  private final double[] old = new double[3];
  private final double[] reference = new double[3];
  private final BitSet groups = new BitSet();
  private final BitSet moving = new BitSet();
  private double ratios;
  private double squares;
  private double maxRatio;
  private double entropy;

  DiagnosticsSum(TokenBatch batch) {
    this.batch = batch;
  }

  void add(int i, int t, double ratio, ClipRange range, boolean still) {
    double advantage = batch.advantage(i, t);
    int sign = advantage > 0 ? 0 : advantage < 0 ? 1 : 2;
    tokens[sign]++;
    above[sign] += ratio > range.upper() ? 1 : 0;
    below[sign] += ratio < range.lower() ? 1 : 0;
    stopped[sign] += still ? 1 : 0;
    ratios += ratio;
    squares += ratio * ratio;
    maxRatio = Math.max(maxRatio, ratio);
    addKl(old, batch.logRatio(i, t));
    if (batch.hasReference()) {
      addKl(reference, batch.logReferenceRatio(i, t));
    }
    if (batch.hasEntropies()) {
      entropy += batch.entropy(i, t);
    }
    if (batch.hasGroups()) {
      groups.set(batch.group(i));
      moving.set(batch.group(i), moving.get(batch.group(i)) || sign < 2);
    }
  }

  /** As {@link KlEstimates#of}, without making an object a token. */
  private static void addKl(double[] sums, double difference) {
    double d = LogRatio.clamped(difference);
    sums[0] -= d;
    sums[1] += d * d / 2;
    sums[2] += Math.expm1(d) - d;
  }

  Diagnostics result() {
    return new Diagnostics(
        counts(tokens),
        counts(above),
        counts(below),
        counts(stopped),
        new Diagnostics.Ratios(ratios, squares, maxRatio),
        new KlEstimates(old[0], old[1], old[2]),
        batch.hasReference() ? new KlEstimates(reference[0], reference[1], reference[2]) : null,
        batch.hasEntropies() ? entropy : Double.NaN,
        groups,
        moving);
  }

  private static SignCounts counts(long[] bySign) {
    return new SignCounts(bySign[0], bySign[1], bySign[2]);
  }
}
