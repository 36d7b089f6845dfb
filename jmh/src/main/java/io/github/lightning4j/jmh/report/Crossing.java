package io.github.lightning4j.jmh.report;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.OptionalDouble;

/**
 * From how many tokens on one curve of times stays below another, as far as it goes, over the
 * lengths that both have. Between two lengths both are taken as straight lines in logarithms, so
 * {@code T^a} is exact.
 *
 * @param ours nanoseconds by tokens
 * @param theirs nanoseconds by tokens
 */
record Crossing(NavigableMap<Integer, Double> ours, NavigableMap<Integer, Double> theirs) {
  /** The last number of tokens at which the curves meet with ours below from there on. */
  OptionalDouble tokens() {
    List<Integer> common = common();
    for (int i = common.size() - 1; i > 0; i--) {
      double above = lead(common.get(i));
      double below = lead(common.get(i - 1));
      if (above <= 0) {
        return OptionalDouble.empty();
      }
      if (below <= 0) {
        double part = -below / (above - below);
        double from = Math.log(common.get(i - 1));
        return OptionalDouble.of(Math.exp(from + part * (Math.log(common.get(i)) - from)));
      }
    }
    return OptionalDouble.empty();
  }

  /** One phrase: where they cross, or who is ahead all the way. */
  String told() {
    List<Integer> common = common();
    if (common.isEmpty()) {
      return "no number of tokens in common";
    }
    int first = common.get(0);
    int last = common.get(common.size() - 1);
    if (lead(last) <= 0) {
      return "not faster at " + last + " tokens";
    }
    OptionalDouble tokens = tokens();
    return tokens.isPresent()
        ? "faster from " + Math.round(tokens.getAsDouble()) + " tokens on"
        : "faster at all " + first + " to " + last + " tokens";
  }

  /** How far ours is ahead, as a logarithm. */
  private double lead(int tokens) {
    return Math.log(theirs.get(tokens) / ours.get(tokens));
  }

  private List<Integer> common() {
    List<Integer> common = new ArrayList<>();
    for (Map.Entry<Integer, Double> point : ours.entrySet()) {
      if (theirs.containsKey(point.getKey())) {
        common.add(point.getKey());
      }
    }
    return common;
  }
}
