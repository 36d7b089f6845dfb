package io.github.lightning4j.cispo;

/**
 * Differences of log-probabilities, held within &plusmn;{@value #LIMIT} so that their exp neither
 * overflows nor drowns a batch, as verl does.
 */
final class LogRatio {
  static final double LIMIT = 20;

  private LogRatio() {}

  static double clamped(double difference) {
    return Math.max(-LIMIT, Math.min(LIMIT, difference));
  }

  /** Whether the clamp lets it pass, and with it its derivative. */
  static boolean moves(double difference) {
    return Math.abs(difference) <= LIMIT;
  }
}
