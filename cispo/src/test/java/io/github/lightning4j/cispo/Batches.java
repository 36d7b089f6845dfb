package io.github.lightning4j.cispo;

import java.util.Arrays;
import java.util.Random;

/** Random sequences of awkward lengths, of which about every fifth token does not count. */
final class Batches {
  private static final int[] LENGTHS = {9, 1, 31, 7, 16, 2};

  private Batches() {}

  /**
   * A batch with reference log-probabilities and advantages of both signs.
   *
   * @param spread the standard deviation of the log-ratios
   */
  static TokenBatch random(long seed, double spread) {
    Random random = new Random(seed);
    double[][] logProbs = new double[LENGTHS.length][];
    double[][] old = new double[LENGTHS.length][];
    double[][] reference = new double[LENGTHS.length][];
    double[] advantages = new double[LENGTHS.length];
    boolean[][] mask = new boolean[LENGTHS.length][];
    for (int i = 0; i < LENGTHS.length; i++) {
      logProbs[i] = new double[LENGTHS[i]];
      old[i] = new double[LENGTHS[i]];
      reference[i] = new double[LENGTHS[i]];
      mask[i] = new boolean[LENGTHS[i]];
      advantages[i] = (i % 2 == 0 ? 1 : -1) * (0.5 + random.nextDouble());
      for (int t = 0; t < LENGTHS[i]; t++) {
        logProbs[i][t] = -3 * random.nextDouble();
        old[i][t] = logProbs[i][t] + spread * random.nextGaussian();
        reference[i][t] = logProbs[i][t] + spread * random.nextGaussian();
        mask[i][t] = t == 0 || random.nextInt(5) > 0;
      }
    }
    return TokenBatch.masked(logProbs, old, advantages, mask).withReference(reference);
  }

  /** The same batch at other log-probabilities of the learning and of the sampling policy. */
  static TokenBatch with(TokenBatch batch, double[][] logProbs, double[][] oldLogProbs) {
    double[] advantages = new double[batch.sequences()];
    double[][] reference = batch.logProbs();
    for (int i = 0; i < reference.length; i++) {
      advantages[i] = batch.advantage(i, 0);
      for (int t = 0; t < reference[i].length; t++) {
        reference[i][t] += batch.logReferenceRatio(i, t);
      }
    }
    return TokenBatch.masked(logProbs, oldLogProbs, advantages, batch.mask())
        .withReference(reference);
  }

  static double[] flat(double[][] rows) {
    return Arrays.stream(rows).flatMapToDouble(Arrays::stream).toArray();
  }

  /** The values in rows as long as those of a table. */
  static double[][] rows(double[] values, double[][] like) {
    double[][] rows = new double[like.length][];
    int from = 0;
    for (int i = 0; i < rows.length; i++) {
      rows[i] = Arrays.copyOfRange(values, from, from + like[i].length);
      from += like[i].length;
    }
    return rows;
  }
}
