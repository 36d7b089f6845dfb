package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizationError;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.junit.jupiter.api.Test;

/** What {@link QuantizedExpertWeights} tells and refuses. */
final class QuantizedExpertWeightsTest {
  @Test
  void tellsBytesAndErrorsOfEachExpert() {
    try (Mixture mixture = new Mixture(1, 128, 256, 3, 1, DType.BF16);
        QuantizedExpertWeights four =
            QuantizedExpertWeights.quantize(mixture.weights, QuantFormat.int4(64));
        QuantizedExpertWeights eight =
            QuantizedExpertWeights.quantize(mixture.weights, QuantFormat.int8())) {
      long weights = 3L * 3 * 128 * 256;
      assertThat(four.bytes()).isBetween(weights * 35 / 64, weights * 35 / 64 + 9 * 512);
      assertThat(eight.bytes()).isBetween(weights * 65 / 64, weights * 65 / 64 + 9 * 512);
      for (int e = 0; e < 3; e++) {
        QuantizationError error = four.error(e);
        assertThat(error.squaredError())
            .isEqualTo(
                four.gate(e).error().squaredError()
                    + four.up(e).error().squaredError()
                    + four.down(e).error().squaredError());
        assertThat(error.relativeRms()).isBetween(0.05, 0.15);
        assertThat(eight.error(e).relativeRms()).isBetween(0.003, 0.015);
      }
    }
  }

  @Test
  void leavesNoMemoryBehindWhereAWeightIsRefused() {
    try (Mixture mixture = new Mixture(1, 6, 5, 2, 1, DType.F32)) {
      mixture.weights.down().get(1).accessor().set(0, Double.POSITIVE_INFINITY);
      FlatMemory.assertFlat(
          "quantize",
          1_000,
          () ->
              assertThatThrownBy(
                  () -> QuantizedExpertWeights.quantize(mixture.weights, QuantFormat.int8())));
    }
  }
}
