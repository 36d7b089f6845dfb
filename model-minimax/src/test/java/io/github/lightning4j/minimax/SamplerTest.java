package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

final class SamplerTest {
  /** Probabilities 0.5, 0.25, 0.15, 0.1 at temperature 1. */
  private static final float[] LOGITS = {
    (float) Math.log(0.15), (float) Math.log(0.5), (float) Math.log(0.1), (float) Math.log(0.25)
  };

  private static double[] frequencies(
      UnaryOperator<GenerationOptions.Builder> change, float[] logits) {
    Sampler sampler =
        new Sampler(change.apply(GenerationOptions.builder().temperature(1).seed(42)).build());
    double[] counts = new double[logits.length];
    int draws = 40_000;
    for (int i = 0; i < draws; i++) {
      counts[sampler.sample(logits)] += 1.0 / draws;
    }
    return counts;
  }

  private static void assertClose(double[] frequencies, double... expected) {
    for (int i = 0; i < expected.length; i++) {
      assertThat(frequencies[i]).as("token %s", i).isCloseTo(expected[i], within(0.01));
      if (expected[i] == 0) {
        assertThat(frequencies[i]).as("token %s", i).isZero();
      }
    }
  }

  @Test
  void drawsFromTheSoftmax() {
    assertClose(frequencies(o -> o, LOGITS), 0.15, 0.5, 0.1, 0.25);
  }

  @Test
  void temperatureSharpens() {
    // p^2 normalised: 0.0225 0.25 0.01 0.0625 over 0.345
    assertClose(frequencies(o -> o.temperature(0.5), LOGITS), 0.0652, 0.7246, 0.0290, 0.1812);
  }

  @Test
  void topKKeepsTheLikeliest() {
    assertClose(frequencies(o -> o.topK(2), LOGITS), 0, 0.6667, 0, 0.3333);
    assertClose(frequencies(o -> o.topK(99), LOGITS), 0.15, 0.5, 0.1, 0.25);
  }

  @Test
  void topPKeepsThoseThatFirstReachTheSum() {
    assertClose(frequencies(o -> o.topP(0.7), LOGITS), 0, 0.6667, 0, 0.3333);
    assertClose(frequencies(o -> o.topP(0.01), LOGITS), 0, 1, 0, 0);
  }

  @Test
  void topPCountsWhatTopKLeft() {
    // After top-3 the sums are 0.5556, 0.8333, 1.
    assertClose(frequencies(o -> o.topK(3).topP(0.8), LOGITS), 0, 0.6667, 0, 0.3333);
  }

  @Test
  void minPKeepsThoseNearTheLikeliest() {
    assertClose(frequencies(o -> o.minP(0.4), LOGITS), 0, 0.6667, 0, 0.3333);
    assertClose(frequencies(o -> o.minP(1), LOGITS), 0, 1, 0, 0);
  }

  @Test
  void repetitionPenaltyDividesPositiveAndMultipliesNegative() {
    GenerationOptions options = GenerationOptions.builder().repetitionPenalty(2).build();
    Sampler sampler = new Sampler(options);
    assertThat(sampler.sample(new float[] {3, 2, -1})).isZero();
    sampler.accept(0);
    assertThat(sampler.sample(new float[] {3, 2, -1})).isEqualTo(1);
    Sampler negative = new Sampler(options);
    negative.accept(0);
    assertThat(negative.sample(new float[] {-1, -1.5f})).isEqualTo(1);
  }

  @Test
  void greedyTakesTheFirstOfEquals() {
    assertThat(new Sampler(GenerationOptions.GREEDY).sample(new float[] {1, 7, 7, 0})).isEqualTo(1);
  }

  @Test
  void oneSeedGivesOneSequence() {
    GenerationOptions options = GenerationOptions.builder().temperature(1).seed(9).build();
    Sampler a = new Sampler(options);
    Sampler b = new Sampler(options);
    for (int i = 0; i < 100; i++) {
      assertThat(a.sample(LOGITS)).isEqualTo(b.sample(LOGITS));
    }
  }

  @Test
  void infiniteAndMissingLogits() {
    float[] masked = {Float.NEGATIVE_INFINITY, 1, Float.NEGATIVE_INFINITY};
    assertClose(frequencies(o -> o, masked), 0, 1, 0);
    Sampler sampler = new Sampler(GenerationOptions.GREEDY);
    float[] none = {Float.NaN, Float.NEGATIVE_INFINITY};
    assertThatThrownBy(() -> sampler.sample(none))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageContaining("no finite value");
    assertThat(sampler.sample(new float[] {Float.NaN, 2, Float.NaN})).isEqualTo(1);
  }

  @Test
  void optionsOutOfRange() {
    assertThatThrownBy(() -> GenerationOptions.builder().topP(0).build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("topP");
    assertThatThrownBy(() -> GenerationOptions.builder().temperature(-1).build())
        .hasMessageContaining("temperature");
    assertThatThrownBy(() -> GenerationOptions.builder().minP(2).build())
        .hasMessageContaining("minP");
    assertThatThrownBy(() -> GenerationOptions.builder().topK(-1).build())
        .hasMessageContaining("topK");
    assertThatThrownBy(() -> GenerationOptions.builder().maxNewTokens(0).build())
        .hasMessageContaining("maxNewTokens");
    assertThatThrownBy(() -> GenerationOptions.builder().repetitionPenalty(0).build())
        .hasMessageContaining("repetitionPenalty");
    assertThatThrownBy(() -> GenerationOptions.builder().stopStrings("").build())
        .hasMessageContaining("stopStrings");
  }
}
