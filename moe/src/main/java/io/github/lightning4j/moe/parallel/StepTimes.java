package io.github.lightning4j.moe.parallel;

/**
 * What one call cost this rank.
 *
 * @param totalNanos from begin to end
 * @param waitNanos of these, how long it waited for other ranks: communication that no computation
 *     hid, and ranks that were late
 * @param rows token-expert pairs that its experts computed
 */
public record StepTimes(long totalNanos, long waitNanos, int rows) {
  /** Waiting over all, 0 to 1. */
  public double waitFraction() {
    return totalNanos == 0 ? 0 : (double) waitNanos / totalNanos;
  }
}
