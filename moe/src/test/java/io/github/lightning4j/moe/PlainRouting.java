package io.github.lightning4j.moe;

import io.github.lightning4j.moe.RouterOptions.Score;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/** Routing of one token by sorting, with the formulas as papers print them, in double. */
final class PlainRouting {
  private PlainRouting() {}

  static int[] choose(double[] logits, RouterOptions options, double[] bias) {
    double[] s = options.score() == Score.SOFTMAX_OF_CHOSEN ? logits : scores(logits, options);
    double[] keys = IntStream.range(0, s.length).mapToDouble(e -> s[e] + bias[e]).toArray();
    int size = s.length / options.groups();
    double[] groups =
        IntStream.range(0, options.groups())
            .mapToDouble(
                g ->
                    Arrays.stream(keys, g * size, (g + 1) * size)
                        .map(x -> -x)
                        .sorted()
                        .limit(options.groupBest())
                        .map(x -> -x)
                        .sum())
            .toArray();
    int[] kept = sorted(groups, options.topGroups(), IntStream.range(0, groups.length));
    return sorted(
        keys,
        options.k(),
        IntStream.range(0, s.length).filter(e -> IntStream.of(kept).anyMatch(g -> g == e / size)));
  }

  private static int[] sorted(double[] keys, int count, IntStream candidates) {
    return candidates
        .boxed()
        .sorted(Comparator.<Integer>comparingDouble(e -> -keys[e]).thenComparing(e -> e))
        .limit(count)
        .mapToInt(e -> e)
        .toArray();
  }

  static double[] weights(double[] logits, RouterOptions options, int[] chosen) {
    double[] s = scores(logits, options);
    double total = options.normalized() ? Arrays.stream(chosen).mapToDouble(e -> s[e]).sum() : 1;
    return Arrays.stream(chosen).mapToDouble(e -> options.scale() * s[e] / total).toArray();
  }

  private static double[] scores(double[] logits, RouterOptions options) {
    if (options.score() == Score.SIGMOID) {
      return Arrays.stream(logits).map(l -> 1 / (1 + Math.exp(-l))).toArray();
    }
    double total = Arrays.stream(logits).map(Math::exp).sum();
    return Arrays.stream(logits).map(l -> Math.exp(l) / total).toArray();
  }
}
