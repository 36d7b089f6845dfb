package io.github.lightning4j.moe.loss;

/** What some tokens give their experts: the sums of which the losses are made, in double. */
final class Load {
  /** Choices of each expert. */
  final long[] chosen;

  /** Sums of probabilities. */
  final double[] probability;

  /** Tokens that count. */
  long tokens;

  /** Sum of squared logarithms of the softmax's denominator. */
  double squaredLse;

  Load(int experts) {
    chosen = new long[experts];
    probability = new double[experts];
  }

  void add(Load other) {
    for (int e = 0; e < chosen.length; e++) {
      chosen[e] += other.chosen[e];
      probability[e] += other.probability[e];
    }
    tokens += other.tokens;
    squaredLse += other.squaredLse;
  }

  /** The sum of several. */
  static Load of(int experts, Iterable<Load> parts) {
    Load sum = new Load(experts);
    parts.forEach(sum::add);
    return sum;
  }
}
