package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity.Priority;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A {@link DispatchPlan} that drops. */
final class CapacityPlanTest {
  @Test
  void keepsTheLargestWeightsAndOfEqualsTheFirstTokens() {
    try (Tensor index = Tensor.of(new int[] {1, 1, 0, 1, 1, 1}, 6, 1);
        Tensor weight = Tensor.of(new float[] {0.5f, 0.9f, 0.1f, 0.5f, 0.2f, 0.9f}, 6, 1)) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(index, 2, Capacity.ofFactor(1), weight); // ceil(6 / 2) = 3
      assertThat(plan.counts()).containsExactly(1, 3);
      assertThat(plan.demand(0)).isEqualTo(1);
      assertThat(plan.demand(1)).isEqualTo(5);
      assertThat(plan.kept()).isEqualTo(4);
      assertThat(plan.size()).isEqualTo(6);
      int[] pairs = new int[4];
      plan.putPairs(IntBuffer.wrap(pairs));
      assertThat(pairs).containsExactly(2, 0, 1, 5);
      int[] positions = new int[6];
      plan.putPositions(IntBuffer.wrap(positions));
      assertThat(positions).containsExactly(1, 2, 0, -1, -1, 3);
      assertThatThrownBy(() -> plan.pair(4)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }

  @Test
  void keepsTheFirstTokensIfSoWanted() {
    try (Tensor index = Tensor.of(new int[] {1, 1, 0, 1, 1, 1}, 6, 1);
        Tensor weight = Tensor.of(new float[] {0.5f, 0.9f, 0.1f, 0.5f, 0.2f, 0.9f}, 6, 1)) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(index, 2, Capacity.ofFactor(1).withPriority(Priority.POSITION), weight);
      int[] positions = new int[6];
      plan.putPositions(IntBuffer.wrap(positions));
      assertThat(positions).containsExactly(1, 2, 0, 3, -1, -1);
    }
  }

  @Test
  void ordersAllKindsOfNumbers() {
    float[] weights = {-1, Float.NEGATIVE_INFINITY, -0f, 0, 1e-40f, -2, Float.POSITIVE_INFINITY, 3};
    int[] best = {6, 7, 4, 2, 3, 0, 5, 1}; // zeros are equal, whatever their sign
    try (Tensor index = Tensor.allocate(DType.I32, 8, 1);
        Tensor weight = Tensor.of(weights, 8, 1)) {
      DispatchPlan plan = new DispatchPlan();
      for (int limit = 0; limit <= 9; limit++) {
        plan.build(index, new int[] {limit}, Priority.WEIGHT, weight);
        for (int i = 0; i < 8; i++) {
          assertThat(plan.position(best[i]) >= 0).as("%s of %s", i, limit).isEqualTo(i < limit);
        }
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void agreesWithSortingEveryExpert(Priority priority) {
    DispatchPlan plan = new DispatchPlan();
    for (int tokens : new int[] {257, 1, 2, 3, 7, 64, 65, 129, 0}) {
      for (int k : new int[] {1, 2, 4}) {
        for (double factor : new double[] {0.1, 0.5, 1, 1.25, 2, 100}) {
          try (Mixture mixture = new Mixture(tokens, 1, 1, 4, k, DType.F32)) {
            Capacity capacity = new Capacity(factor, priority, 2);
            quantize(mixture.weight);
            plan.build(mixture.index, 4, capacity, mixture.weight);
            assertDropsTheRest(plan, mixture, capacity);
          }
        }
      }
    }
  }

  /** Few values, so that many weights are equal. */
  private static void quantize(Tensor weight) {
    for (long i = 0; i < weight.elements(); i++) {
      weight.accessor().set(i, Math.rint(8 * weight.accessor().get(i)) / 8);
    }
  }

  private static void assertDropsTheRest(DispatchPlan plan, Mixture mixture, Capacity capacity) {
    int limit = capacity.limit(mixture.tokens, mixture.slots, 4);
    long[] chosen = mixture.index.toLongs();
    float[] weights = mixture.weight.toFloats();
    int next = 0;
    for (int e = 0; e < 4; e++) {
      List<Integer> pairs = new ArrayList<>();
      for (int pair = 0; pair < chosen.length; pair++) {
        if (chosen[pair] == e) {
          pairs.add(pair);
        }
      }
      assertThat(plan.demand(e)).isEqualTo(pairs.size());
      if (capacity.priority() == Priority.WEIGHT) {
        pairs.sort(Comparator.comparing((Integer pair) -> -weights[pair]));
      }
      List<Integer> kept = new ArrayList<>(pairs.subList(0, Math.min(limit, pairs.size())));
      kept.sort(null);
      assertThat(plan.offset(e)).isEqualTo(next);
      for (int pair : kept) {
        assertThat(plan.pair(next)).isEqualTo(pair);
        assertThat(plan.position(pair)).isEqualTo(next++);
      }
      for (int pair : pairs) {
        assertThat(plan.position(pair) < 0).isEqualTo(!kept.contains(pair));
      }
    }
    assertThat(plan.kept()).isEqualTo(next);
  }

  @Test
  void takesLimitsOfItsOwnForEachExpertAndRowStrides() {
    try (Tensor wide = Tensor.of(new int[] {9, 0, 9, 0, 9, 1, 9, 1}, 4, 2);
        Tensor weights = Tensor.of(new float[] {7, 1, 7, 2, 7, 2, 7, 1}, 4, 2)) {
      DispatchPlan plan = new DispatchPlan();
      Tensor weight = weights.narrow(1, 1, 1);
      plan.build(wide.narrow(1, 1, 1), new int[] {1, 0, 5}, Priority.WEIGHT, weight);
      assertThat(plan.counts()).containsExactly(1, 0, 0);
      assertThat(plan.pair(0)).isEqualTo(1);
      plan.build(wide.narrow(1, 1, 1), 2);
      assertThat(plan.counts()).as("nothing is left of the limits").containsExactly(2, 2);
      assertThat(plan.kept()).isEqualTo(4);
    }
  }

  @Test
  void refusesWhatDoesNotFitAndIsThenEmpty() {
    Capacity capacity = Capacity.ofFactor(1);
    try (MemoryScope scope = new MemoryScope()) {
      DispatchPlan plan = new DispatchPlan();
      Tensor index = scope.add(Tensor.of(new int[] {0, 1, 2, 0}, 2, 2));
      Tensor weight = scope.add(Tensor.of(new float[] {1, 2, 3, 4}, 2, 2));
      plan.build(index, 3, capacity, weight);
      assertThat(plan.size()).isEqualTo(4);
      weight.accessor().set(2, Double.NaN);
      assertThatThrownBy(() -> plan.build(index, 3, capacity, weight))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("weight[1, 0]: expected a number, got NaN");
      assertThat(plan.size()).isZero();
      assertThat(plan.kept()).isZero();
      weight.accessor().set(2, 0);
      assertThatThrownBy(() -> plan.build(index, 3, capacity, weight.narrow(0, 0, 1)))
          .hasMessage("weight: expected shape [2, 2], got [1, 2]");
      assertThatThrownBy(() -> plan.build(index, 3, capacity, index))
          .hasMessage("weight: expected dtype F32, got I32");
      assertThatThrownBy(() -> plan.build(index, 1, capacity, weight))
          .hasMessage("index: expected 1 <= k <= 1, got k = 2");
      assertThatThrownBy(() -> plan.build(index, 2, capacity, weight))
          .hasMessage("index[1, 0]: expected 0 <= expert < 2, got 2");
      assertThatThrownBy(() -> plan.build(index, new int[] {1, -1, 1}, Priority.POSITION, weight))
          .hasMessage("limits[1]: expected >= 0, got -1");
      assertThat(plan.size()).isZero();
    }
  }
}
