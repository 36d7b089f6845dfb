package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class DecayTest {
  @Test
  void copiesRates() {
    double[] slopes = {0.5, 0};
    Decay decay = Decay.ofSlopes(slopes);
    slopes[0] = 7;
    assertThat(decay.heads()).isEqualTo(2);
    assertThat(decay.logDecay(0)).isEqualTo(-0.5);
    assertThat(decay.logDecay(1)).isZero();
    assertThat(decay.tensor().toDoubles()[0]).isEqualTo(-0.5);
    assertThat(Decay.ofLogDecay(new double[] {-0.5}).logDecay(0)).isEqualTo(-0.5);
  }

  @ParameterizedTest
  @ValueSource(doubles = {-1e-9, Double.NaN, Double.POSITIVE_INFINITY})
  void refusesRates(double slope) {
    assertThatThrownBy(() -> Decay.ofSlopes(new double[] {0.1, slope}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("slopes[1]: expected a finite number >= 0, got " + slope);
    assertThatThrownBy(() -> Decay.ofLogDecay(new double[] {-0.1, -slope}))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("logDecay[1]: expected a finite number <= 0, got " + -slope);
  }

  @Test
  void refusesNoHeadsAndUnknownHeads() {
    assertThatThrownBy(() -> Decay.ofSlopes(new double[0]))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("at least one head");
    assertThatThrownBy(() -> Decay.ofSlopes(new double[2]).logDecay(2))
        .isInstanceOf(IllegalArgumentException.class);
  }

  @Test
  void optionsRefuseScales() {
    assertThatThrownBy(() -> Options.DEFAULT.withScale(Float.NaN))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("scale: expected a finite number, got NaN");
  }
}
