package io.github.lightning4j.examples.command;

/**
 * What a format of key-value caches does to answers about pictures, against a better one (the
 * base).
 *
 * <pre>
 * divergence   mean over steps of  sum_i base(i) (log base(i) - log p(i))
 * agreement    share of steps with  argmax p = argmax base
 * logitError   sum (logits - base)^2 / sum base^2
 * caption      share of steps at which an answer written freely has the base's token
 * </pre>
 *
 * <p>All but the caption follow the base's answer token by token. Sums in double, in order.
 *
 * @param divergence Kullback-Leibler, in nats a step
 * @param agreement from 0 to 1
 * @param logitError normalized mean square error
 * @param caption from 0 to 1
 * @param steps how many there were
 */
record PictureQuality(
    double divergence, double agreement, double logitError, double caption, long steps) {

  /** Adds up steps. */
  static final class Sums {
    private double divergence;
    private double squares;
    private double errors;
    private long agreeing;
    private long same;
    private long steps;

    /** One step: the logits of the base, and those of the format behind the same tokens. */
    void add(float[] base, float[] here) {
      double[] expected = CacheQuality.logProbabilities(base);
      double[] got = CacheQuality.logProbabilities(here);
      divergence += CacheQuality.divergence(expected, got);
      agreeing += CacheQuality.best(expected) == CacheQuality.best(got) ? 1 : 0;
      for (int i = 0; i < base.length; i++) {
        double error = (double) here[i] - base[i];
        errors += error * error;
        squares += (double) base[i] * base[i];
      }
      steps++;
    }

    /** A token of the free answer, and that of the base's at its place. */
    void addCaption(int base, int here) {
      same += base == here ? 1 : 0;
    }

    PictureQuality quality() {
      return new PictureQuality(
          divergence / steps,
          (double) agreeing / steps,
          errors / squares,
          (double) same / steps,
          steps);
    }
  }
}
