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
    int sign = count(i, t);
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
  }

  /**
   * Adds what does not depend on the policy that learns.
   *
   * @return 0 for a positive advantage, 1 for a negative one, 2 for none
   */
  int count(int i, int t) {
    double advantage = batch.advantage(i, t);
    int sign = advantage > 0 ? 0 : advantage < 0 ? 1 : 2;
    tokens[sign]++;
    if (batch.hasEntropies()) {
      entropy += batch.entropy(i, t);
    }
    if (batch.hasGroups()) {
      groups.set(batch.group(i));
      moving.set(batch.group(i), moving.get(batch.group(i)) || sign < 2);
    }
    return sign;
  }

  /** As {@link KlEstimates#of}, without making an object a token. */
  private static void addKl(double[] sums, double difference) {
    double d = LogRatio.clamped(difference);
    sums[0] -= d;
    sums[1] += d * d / 2;
    sums[2] += Math.expm1(d) - d;
  }

  Diagnostics result() {
    return result(
        counts(above),
        counts(below),
        counts(stopped),
        new Diagnostics.Ratios(ratios, squares, maxRatio),
        new KlEstimates(old[0], old[1], old[2]),
        new KlEstimates(reference[0], reference[1], reference[2]));
  }

  /** With the counted tokens, and what {@code policy_loss.cu} summed, in its order. */
  Diagnostics with(double[] sums) {
    return result(
        counts(sums, 1),
        counts(sums, 4),
        counts(sums, 7),
        new Diagnostics.Ratios(sums[10], sums[11], sums[12]),
        new KlEstimates(sums[13], sums[14], sums[15]),
        new KlEstimates(sums[16], sums[17], sums[18]));
  }

  private Diagnostics result(
      SignCounts higher,
      SignCounts lower,
      SignCounts still,
      Diagnostics.Ratios ofRatios,
      KlEstimates toOld,
      KlEstimates toReference) {
    return new Diagnostics(
        counts(tokens),
        higher,
        lower,
        still,
        ofRatios,
        toOld,
        batch.hasReference() ? toReference : null,
        batch.hasEntropies() ? entropy : Double.NaN,
        groups,
        moving);
  }

  private static SignCounts counts(double[] sums, int from) {
    return new SignCounts((long) sums[from], (long) sums[from + 1], (long) sums[from + 2]);
  }

  private static SignCounts counts(long[] bySign) {
    return new SignCounts(bySign[0], bySign[1], bySign[2]);
  }
}
