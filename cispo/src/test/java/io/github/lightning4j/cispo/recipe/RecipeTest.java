package io.github.lightning4j.cispo.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

/** Filters, penalties, stops and bookkeeping. */
final class RecipeTest {
  @Test
  void passRates() {
    PassRateFilter filter = PassRateFilter.MINIMAX_M1;
    assertThat(filter.rate(new double[] {1, 0, 0.5, 2})).isEqualTo(0.5);
    assertThat(filter.keeps(new double[] {0, 0})).isFalse();
    assertThat(filter.keeps(new double[] {0, 1})).isTrue();
    double[] nineOfTen = {1, 1, 1, 1, 1, 1, 1, 1, 1, 0};
    assertThat(filter.keeps(nineOfTen)).isFalse();
    assertThat(PassRateFilter.DYNAMIC_SAMPLING.keeps(nineOfTen)).isTrue();
    assertThat(PassRateFilter.DYNAMIC_SAMPLING.keeps(new double[] {1})).isFalse();
    assertThatThrownBy(() -> filter.keeps(new double[0]))
        .hasMessage("rewards: expected a group of one or more, got none");
    assertThatThrownBy(() -> filter.keeps(new double[] {Double.NaN}))
        .hasMessage("rewards[0]: expected a number, got NaN");
    assertThatThrownBy(() -> new PassRateFilter(0.9, 0.1, 1))
        .hasMessage("above: expected < below = 0.1, got 0.9");
  }

  @Test
  void dynamicSamplingFillsABatch() {
    DynamicSampling<String> batch = new DynamicSampling<>(PassRateFilter.DYNAMIC_SAMPLING, 2, 5);
    assertThat(batch.offer("solved", new double[] {1, 1})).isFalse();
    assertThat(batch.offer("a", new double[] {1, 0})).isTrue();
    assertThat(batch.offer("hopeless", new double[] {0, 0})).isFalse();
    assertThat(batch.wantsMore()).isTrue();
    assertThat(batch.offer("b", new double[] {0, 1})).isTrue();
    assertThat(batch.wantsMore()).isFalse();
    assertThat(batch.groups()).containsExactly("a", "b");
    assertThat(batch.offered()).isEqualTo(4);
    assertThatThrownBy(() -> batch.offer("c", new double[] {0, 1}))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("the batch is closed: 2 of 4 groups kept");
  }

  @Test
  void dynamicSamplingGivesUp() {
    DynamicSampling<String> batch = new DynamicSampling<>(PassRateFilter.DYNAMIC_SAMPLING, 2, 2);
    batch.offer("solved", new double[] {1});
    assertThatThrownBy(() -> batch.offer("empty", new double[0]))
        .hasMessage("rewards: expected a group of one or more, got none");
    assertThat(batch.offered()).isEqualTo(1);
    batch.offer("solved", new double[] {1});
    assertThat(batch.wantsMore()).isFalse();
    assertThat(batch.groups()).isEmpty();
    assertThatThrownBy(() -> new DynamicSampling<>(PassRateFilter.MINIMAX_M1, 3, 2))
        .hasMessage("most: expected >= wanted = 3, got 2");
  }

  @Test
  void overlongResponsesPay() {
    OverlongPenalty penalty = new OverlongPenalty(100, 20);
    assertThat(penalty.of(0)).isZero();
    assertThat(penalty.of(80)).isZero();
    assertThat(penalty.of(81)).isCloseTo(-0.05, within(1e-15));
    assertThat(penalty.of(100)).isEqualTo(-1);
    assertThat(penalty.of(Integer.MAX_VALUE)).isEqualTo(-1);
    assertThatThrownBy(() -> new OverlongPenalty(10, 11))
        .hasMessage("margin: expected 1 to maxLength = 10, got 11");
    assertThatThrownBy(() -> penalty.of(-1)).hasMessage("length: expected >= 0, got -1");
  }

  @Test
  void repetitionStopsAfterARunOfCertainTokens() {
    RepetitionStop.Counter counter = new RepetitionStop(3, 0.99).start();
    double sure = Math.log(0.995);
    double unsure = Math.log(0.985);
    assertThat(counter.stops(sure)).isFalse();
    assertThat(counter.stops(sure)).isFalse();
    assertThat(counter.stops(unsure)).isFalse();
    assertThat(counter.length()).isZero();
    assertThat(counter.stops(sure)).isFalse();
    assertThat(counter.stops(0)).isFalse();
    assertThat(counter.stops(sure)).isTrue();
    assertThat(counter.length()).isEqualTo(3);
    assertThatThrownBy(() -> counter.stops(Double.NaN))
        .hasMessage("logProb: expected a log-probability, got NaN");
  }

  @Test
  void repetitionStopOfThePaper() {
    RepetitionStop.Counter counter = RepetitionStop.MINIMAX_M1.start();
    for (int i = 1; i < 3000; i++) {
      assertThat(counter.stops(-0.001)).isFalse();
    }
    assertThat(counter.stops(-0.001)).isTrue();
    assertThatThrownBy(() -> new RepetitionStop(0, 0.5)).hasMessage("run: expected >= 1, got 0");
    assertThatThrownBy(() -> new RepetitionStop(1, 1))
        .hasMessage("probability: expected 0 to below 1, got 1.0");
  }

  @Test
  void versionsAge() {
    PolicyVersions versions = new PolicyVersions();
    long first = versions.current();
    versions.updated();
    assertThat(versions.updated()).isEqualTo(2);
    PolicyVersions.Ages ages = versions.ages(new long[] {first, 1, 2});
    assertThat(ages.each()).containsExactly(2, 1, 0);
    assertThat(ages.max()).isEqualTo(2);
    assertThat(ages.mean()).isEqualTo(1);
    assertThat(ages.atMost(1)).containsExactly(false, true, true);
    assertThatThrownBy(() -> versions.ages(new long[] {0, 3}))
        .hasMessage("versions[1]: expected 0 to 2, the current one, got 3");
    assertThatThrownBy(() -> versions.ages(new long[0]))
        .hasMessage("versions: expected one or more, got none");
  }

  @Test
  void optimizerOfThePaper() {
    assertThat(AdamWOptions.minimaxM1(1e-3)).isEqualTo(new AdamWOptions(1e-3, 0.9, 0.95, 1e-15, 0));
    assertThatThrownBy(() -> AdamWOptions.minimaxM1(0))
        .hasMessage("learningRate: expected a finite number > 0, got 0.0");
    assertThatThrownBy(() -> new AdamWOptions(1, 0.9, 1, 1e-8, 0))
        .hasMessage("beta2: expected 0 to below 1, got 1.0");
    assertThatThrownBy(() -> new AdamWOptions(1, 0.9, 0.9, 0, 0))
        .hasMessage("epsilon: expected a finite number > 0, got 0.0");
    assertThatThrownBy(() -> new AdamWOptions(1, 0.9, 0.9, 1, -1))
        .hasMessage("weightDecay: expected a finite number >= 0, got -1.0");
  }
}
