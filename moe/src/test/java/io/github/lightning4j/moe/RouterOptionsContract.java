package io.github.lightning4j.moe;

import static io.github.lightning4j.moe.RouterOptions.Score.SIGMOID;
import static io.github.lightning4j.moe.RouterOptions.Score.SOFTMAX_OF_CHOSEN;
import static io.github.lightning4j.moe.RouterOptions.topK;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.Gradients;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** What every implementation of {@link Router} must do with {@link RouterOptions}. */
abstract class RouterOptionsContract {
  private static final float INF = Float.POSITIVE_INFINITY;

  /** All ways to weigh k experts. */
  static List<RouterOptions> scores(int k) {
    return List.of(
        topK(k),
        topK(k).withNormalized(false).withScale(16),
        topK(k).withScore(SOFTMAX_OF_CHOSEN).withScale(0.5f),
        topK(k).withScore(SIGMOID).withScale(2.5f),
        topK(k).withScore(SIGMOID).withNormalized(false));
  }

  abstract Router router();

  @Test
  void choosesAndWeighsAsTheFormulaSays() {
    for (int tokens : new int[] {1, 9, 65}) {
      for (int experts : new int[] {4, 8, 24, 33, 64}) {
        for (int k : new int[] {1, 2, 4}) {
          for (RouterOptions options : scores(k)) {
            check(tokens, experts, options, false);
            check(tokens, experts, options, true);
          }
        }
      }
    }
  }

  @Test
  void choosesWithinTheBestGroups() {
    for (RouterOptions options : scores(6)) {
      for (int best : new int[] {1, 2, 3}) {
        for (int[] groups : new int[][] {{8, 4}, {3, 1}, {2, 2}}) {
          RouterOptions grouped = options.withGroups(groups[0], groups[1], best);
          check(129, 24, grouped, false);
          check(129, 24, grouped, true);
        }
      }
    }
  }

  private void check(int tokens, int experts, RouterOptions options, boolean biased) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Cases.normal(tokens + experts, DType.F32, tokens, experts));
      Tensor bias = biased ? scope.add(Cases.normal(9, DType.F32, experts)) : null;
      Tensor index = scope.allocate(DType.I32, tokens, options.k());
      Tensor weight = scope.allocate(DType.F32, tokens, options.k());
      router().route(logits, options, bias, index, weight);
      double[] l = logits.toDoubles();
      double[] b = biased ? bias.toDoubles() : new double[experts];
      List<Long> chosen = new ArrayList<>();
      double[] weights = new double[tokens * options.k()];
      for (int t = 0; t < tokens; t++) {
        double[] row = Arrays.copyOfRange(l, t * experts, (t + 1) * experts);
        int[] places = PlainRouting.choose(row, options, b);
        double[] w = PlainRouting.weights(row, options, places);
        for (int s = 0; s < places.length; s++) {
          chosen.add((long) places[s]);
          weights[t * places.length + s] = w[s];
        }
      }
      String what = options + " of " + experts + (biased ? " with bias" : "");
      assertThat(index.toLongs())
          .as(what)
          .containsExactly(chosen.stream().mapToLong(i -> i).toArray());
      Closeness.assertNmse(what, weight.toDoubles(), weights, 1e-12);
    }
  }

  @Test
  void backwardIsTheSlopeOfTheWeights() {
    for (int k : new int[] {1, 2, 6}) {
      for (RouterOptions options : scores(k)) {
        checkSlope(options.withScale(1.5f), 6);
        checkSlope(options.withScale(1.5f), 19);
      }
    }
  }

  private void checkSlope(RouterOptions options, int experts) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Cases.normal(options.k(), DType.F32, 5, experts));
      Tensor bias = scope.add(Cases.normal(3, DType.F32, experts));
      Tensor dWeight = scope.add(Cases.normal(7, DType.F32, 5, options.k()));
      Tensor index = scope.allocate(DType.I32, 5, options.k());
      Tensor weight = scope.allocate(DType.F32, 5, options.k());
      Tensor gradient = scope.add(Cases.normal(3, DType.F32, 5, experts));
      router().route(logits, options, bias, index, weight);
      router().backward(logits, options, index, dWeight, gradient);
      long[] chosen = index.toLongs();
      double[] d = dWeight.toDoubles();
      Gradients.assertMatches(
          "dlogits of " + options,
          l -> {
            double sum = 0;
            for (int t = 0; t < 5; t++) {
              int[] places = new int[options.k()];
              for (int s = 0; s < places.length; s++) {
                places[s] = (int) chosen[t * places.length + s];
              }
              double[] row = Arrays.copyOfRange(l, t * experts, (t + 1) * experts);
              double[] w = PlainRouting.weights(row, options, places);
              for (int s = 0; s < w.length; s++) {
                sum += w[s] * d[t * w.length + s];
              }
            }
            return sum;
          },
          logits.toDoubles(),
          gradient.toDoubles(),
          5 * experts,
          1e-6);
    }
  }

  @Test
  void givesTiesOfExpertsAndGroupsToTheLowestIndex() {
    float[] row = {1, 3, 3, 1, 2, 2, 3, 1};
    RouterOptions groups = topK(3).withScore(SOFTMAX_OF_CHOSEN).withGroups(4, 2, 2);
    assertThat(routed(row, groups, null).index).containsExactly(1, 2, 0);
    assertThat(routed(row, groups.withGroups(4, 2, 1), null).index).containsExactly(1, 2, 0);
    float[] bias = {2, 0, 0, 2, 1, 1, 0, 2};
    assertThat(routed(row, topK(3).withScore(SOFTMAX_OF_CHOSEN), bias).index)
        .containsExactly(0, 1, 2);
    assertThat(routed(new float[8], topK(3).withScore(SIGMOID), new float[8]).index)
        .containsExactly(0, 1, 2);
  }

  @Test
  void leavesTheBiasOutOfTheWeights() {
    Routed routed =
        routed(new float[] {0, 0, 0, 0}, topK(2).withScore(SIGMOID), new float[] {-1, 0, 9, 0});
    assertThat(routed.index).containsExactly(2, 1);
    assertThat(routed.weight).containsExactly(0.5f, 0.5f);
  }

  @Test
  void neverPrefersAMaskedExpert() {
    float[] row = {-INF, 1, -INF, -2, -INF, -INF, -3, -INF};
    float[] bias = {9, 0, 9, 0, 9, 9, 0, 9};
    for (RouterOptions options : scores(4)) {
      Routed routed = routed(row, options, bias);
      assertThat(routed.index).as(options.toString()).containsExactly(1, 3, 6, 0);
      assertThat(routed.weight[3]).isZero();
      for (int best : new int[] {1, 2}) {
        // the group of experts 4 and 5 has none to offer
        Routed grouped = routed(row, options.withGroups(4, 3, best), bias);
        assertThat(grouped.index).as(options.toString()).containsExactly(1, 3, 6, 0);
      }
    }
    Routed lone = routed(new float[] {-INF, -INF, 5, -INF}, topK(1).withGroups(2, 1, 2), null);
    assertThat(lone.index).containsExactly(2);
  }

  @Test
  void staysExactForLogitsOfAnySize() {
    RouterOptions sigmoid = topK(2).withScore(SIGMOID);
    assertThat(routed(new float[] {-200, -200, -900}, sigmoid, null).weight)
        .containsExactly(0.5f, 0.5f);
    assertThat(routed(new float[] {3e38f, -3e38f, 2e38f}, sigmoid, null).weight)
        .containsExactly(0.5f, 0.5f);
    for (RouterOptions options : scores(2)) {
      Routed routed = routed(new float[] {3e38f, -3e38f, 2e38f, -INF}, options, new float[4]);
      assertThat(routed.index).as(options.toString()).startsWith(0);
      assertThat(routed.weight[0]).isBetween(options.scale() / 2, options.scale());
      assertThat(routed.gradient).doesNotContain(Float.NaN);
    }
    // of equal fp32 sigmoids the larger logit goes first
    assertThat(routed(new float[] {40, 50, 60}, sigmoid, null).index).containsExactly(2, 1);
  }

  @Test
  void refusesNotFiniteLogitsUnderAnyOptions() {
    for (RouterOptions plain : scores(1)) {
      for (RouterOptions options : List.of(plain, plain.withGroups(3, 2, 1))) {
        for (float bad : new float[] {Float.NaN, INF}) {
          for (float @Nullable [] bias : new float[][] {null, new float[24]}) {
            float[] row = new float[24];
            row[19] = bad;
            refused("logits[0]: expected numbers below infinity", () -> routed(row, options, bias));
          }
        }
      }
    }
  }

  @Test
  void takesRowStridesAndAnyNumberOfThreads() {
    int before = Threads.count();
    RouterOptions options = topK(6).withScore(SIGMOID).withGroups(4, 2, 2);
    try (MemoryScope scope = new MemoryScope()) {
      int tokens = 4000;
      Tensor logits = scope.add(Cases.normal(4, DType.F32, tokens, 40)).narrow(1, 3, 32);
      Tensor dense = scope.add(Tensor.of(logits.toFloats(), tokens, 32));
      Tensor bias = scope.add(Cases.normal(5, DType.F32, 32));
      Tensor index = scope.allocate(DType.I32, tokens, 9).narrow(1, 2, 6);
      Tensor weight = scope.allocate(DType.F32, tokens, 8).narrow(1, 1, 6);
      Tensor denseIndex = scope.allocate(DType.I32, tokens, 6);
      Tensor denseWeight = scope.allocate(DType.F32, tokens, 6);
      Tensor out = scope.allocate(DType.F32, tokens, 35).narrow(1, 2, 32);
      Tensor denseOut = scope.allocate(DType.F32, tokens, 32);
      Threads.use(1);
      router().route(dense, options, bias, denseIndex, denseWeight);
      router().backward(dense, options, denseIndex, denseWeight, denseOut);
      Threads.use(4);
      router().route(logits, options, bias, index, weight);
      router().backward(logits, options, index, weight, out);
      assertThat(index.toLongs()).isEqualTo(denseIndex.toLongs());
      assertThat(weight.toFloats()).isEqualTo(denseWeight.toFloats());
      assertThat(out.toFloats()).isEqualTo(denseOut.toFloats());
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    float[] row = {1, 2, 3, 4};
    RouterOptions options = topK(2).withScore(SIGMOID).withGroups(2, 1, 2);
    FlatMemory.assertFlat("router", 10_000, () -> routed(row, options, row));
  }

  static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }

  private record Routed(long[] index, float[] weight, float[] gradient) {}

  /** One token; the gradient is that of the sum of the weights times their slot. */
  private Routed routed(float[] row, RouterOptions options, float @Nullable [] bias) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Tensor.of(row, 1, row.length));
      Tensor index = scope.allocate(DType.I32, 1, options.k());
      Tensor weight = scope.allocate(DType.F32, 1, options.k());
      Tensor d = scope.add(Cases.normal(1, DType.F32, 1, options.k()));
      Tensor gradient = scope.allocate(DType.F32, 1, row.length);
      Tensor b = bias == null ? null : scope.add(Tensor.of(bias, bias.length));
      router().route(logits, options, b, index, weight);
      router().backward(logits, options, index, d, gradient);
      return new Routed(index.toLongs(), weight.toFloats(), gradient.toFloats());
    }
  }
}
