package io.github.lightning4j.moe.internal;

import io.github.lightning4j.moe.RouterOptions;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Which experts one row of logits chooses, in double. */
final class ExpertChoice {
  private ExpertChoice() {}

  /** The places of the chosen, best first; of equals the lowest first. */
  static int[] of(double[] logits, RouterOptions options, double @Nullable [] bias) {
    double[] keys = bias == null ? logits : keys(logits, options.score(), bias);
    if (!options.limitsGroups()) {
      return Softmax.largest(keys, options.k());
    }
    boolean byLogit = bias == null && options.groupBest() == 1;
    double[] scores = byLogit ? logits : keys(logits, options.score(), bias);
    int size = logits.length / options.groups();
    double[] groups = new double[options.groups()];
    for (int g = 0; g < groups.length; g++) {
      groups[g] = best(Arrays.copyOfRange(scores, g * size, (g + 1) * size), options.groupBest());
    }
    int[] kept = Softmax.largest(groups, options.topGroups());
    Arrays.sort(kept);
    double[] inside = new double[kept.length * size];
    for (int i = 0; i < kept.length; i++) {
      System.arraycopy(keys, kept[i] * size, inside, i * size, size);
    }
    int[] chosen = Softmax.largest(inside, options.k());
    for (int s = 0; s < chosen.length; s++) {
      chosen[s] = kept[chosen[s] / size] * size + chosen[s] % size;
    }
    return chosen;
  }

  /** What experts are compared by: score plus bias; an expert whose logit is -infinity is last. */
  private static double[] keys(
      double[] logits, RouterOptions.Score score, double @Nullable [] bias) {
    double[] keys =
        switch (score) {
          case SOFTMAX -> Softmax.probabilities(logits);
          case SOFTMAX_OF_CHOSEN -> logits.clone();
          case SIGMOID -> Arrays.stream(logits).map(Sigmoid::of).toArray();
        };
    for (int e = 0; e < keys.length; e++) {
      if (logits[e] == Double.NEGATIVE_INFINITY) {
        keys[e] = logits[e];
      } else if (bias != null) {
        keys[e] += bias[e];
      }
    }
    return keys;
  }

  /** The sum of the largest keys above -infinity; -infinity if there is none. */
  private static double best(double[] keys, int count) {
    double sum = Double.NEGATIVE_INFINITY;
    for (int e : Softmax.largest(keys, count)) {
      if (keys[e] > Double.NEGATIVE_INFINITY) {
        sum = sum == Double.NEGATIVE_INFINITY ? keys[e] : sum + keys[e];
      }
    }
    return sum;
  }
}
