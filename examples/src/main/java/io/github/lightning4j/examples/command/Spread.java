package io.github.lightning4j.examples.command;

import java.util.Arrays;

/**
 * What repeated measurements came to.
 *
 * @param median the middle, or the mean of the two in the middle
 * @param min the least
 * @param max the most
 */
record Spread(double median, double min, double max) {
  static Spread of(double... values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int last = sorted.length - 1;
    double median = (sorted[last / 2] + sorted[(last + 1) / 2]) / 2;
    return new Spread(median, sorted[0], sorted[last]);
  }
}
