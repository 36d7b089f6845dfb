package io.github.lightning4j.moe.balance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.DispatchPlan;
import org.junit.jupiter.api.Test;

final class LoadStatisticsTest {
  @Test
  void countsWhatWasChosenAndWhatWasDropped() {
    LoadStatistics statistics = of(new int[] {0, 0, 0, 0, 0, 1, 1, 2}, 4); // room for 2 each
    assertThat(statistics.experts()).isEqualTo(4);
    assertThat(statistics.loads()).containsExactly(5, 2, 1, 0);
    assertThat(statistics.load(0)).isEqualTo(5);
    assertThat(statistics.dropped(0)).isEqualTo(3);
    assertThat(statistics.dropped(1)).isZero();
    assertThat(statistics.fractionDropped()).isEqualTo(3.0 / 8);
    assertThat(statistics.maxToMean()).isEqualTo(2.5);
    double entropy =
        -(5.0 / 8 * Math.log(5.0 / 8) + 2.0 / 8 * Math.log(2.0 / 8) + Math.log(1.0 / 8) / 8);
    assertThat(statistics.entropy()).isEqualTo(entropy, within(1e-15));
    assertThat(statistics)
        .hasToString(
            "LoadStatistics[experts=4, pairs=8, max/mean=2.500, entropy=0.900 of 1.386,"
                + " dropped=37.50 %]");
  }

  @Test
  void knowsTheExtremes() {
    LoadStatistics even = of(new int[] {3, 1, 0, 2}, 4);
    assertThat(even.entropy()).isEqualTo(Math.log(4), within(1e-15));
    assertThat(even.maxToMean()).isEqualTo(1);
    assertThat(even.fractionDropped()).isZero();
    LoadStatistics one = of(new int[] {2, 2, 2, 2}, 4);
    assertThat(one.entropy()).isZero();
    assertThat(one.maxToMean()).isEqualTo(4);
    assertThat(one.fractionDropped()).isEqualTo(0.75);
    DispatchPlan none = new DispatchPlan();
    none.buildShared(0);
    LoadStatistics nothing = LoadStatistics.of(none);
    assertThat(nothing.entropy()).isZero(); // ln 1
    assertThat(nothing.maxToMean()).isEqualTo(1);
    assertThat(nothing.fractionDropped()).isZero();
  }

  @Test
  void addsUpOverBatches() {
    LoadStatistics sum = of(new int[] {0, 0, 1, 1}, 2).plus(of(new int[] {0, 0, 0, 0}, 2));
    assertThat(sum.loads()).containsExactly(6, 2);
    assertThat(sum.dropped(0)).isEqualTo(2);
    assertThat(sum.fractionDropped()).isEqualTo(0.25);
    LoadStatistics other = of(new int[] {0}, 3);
    assertThatThrownBy(() -> sum.plus(other))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("other: expected 2 experts, got 3");
  }

  @Test
  void refusesAPlanThatWasNeverBuilt() {
    assertThatThrownBy(() -> LoadStatistics.of(new DispatchPlan()))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("plan: expected a plan that was built, got an empty one");
    LoadStatistics statistics = of(new int[] {0}, 1);
    assertThatThrownBy(() -> statistics.load(1)).isInstanceOf(IndexOutOfBoundsException.class);
  }

  /** One choice a token, weights falling, capacity factor 1. */
  private static LoadStatistics of(int[] chosen, int experts) {
    float[] weights = new float[chosen.length];
    for (int t = 0; t < weights.length; t++) {
      weights[t] = -t;
    }
    try (Tensor index = Tensor.of(chosen, chosen.length, 1);
        Tensor weight = Tensor.of(weights, chosen.length, 1)) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(index, experts, Capacity.ofFactor(1), weight);
      return LoadStatistics.of(plan);
    }
  }
}
