package io.github.lightning4j.jmh.device;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;
import java.util.Locale;

/**
 * How long one step took, over many samples.
 *
 * @param medianUs the median in microseconds
 * @param minUs the shortest
 * @param maxUs the longest
 * @param samples how many there were
 */
record Timing(double medianUs, double minUs, double maxUs, int samples) {
  /** Of samples in microseconds, at least one. */
  static Timing of(double... microseconds) {
    checkArgument(microseconds.length > 0, "microseconds: expected at least one sample, got none");
    double[] sorted = microseconds.clone();
    Arrays.sort(sorted);
    int n = sorted.length;
    double median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
    return new Timing(median, sorted[0], sorted[n - 1], n);
  }

  /** Microseconds as people say them. */
  static String duration(double microseconds) {
    if (microseconds >= 1e6) {
      return String.format(Locale.ROOT, "%.3g s", microseconds / 1e6);
    }
    return microseconds >= 1000
        ? String.format(Locale.ROOT, "%.3f ms", microseconds / 1000)
        : String.format(Locale.ROOT, "%.2f us", microseconds);
  }

  @Override
  public String toString() {
    return duration(medianUs) + " (" + duration(minUs) + " to " + duration(maxUs) + ")";
  }
}
