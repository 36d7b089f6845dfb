package io.github.lightning4j.kvquant.quantizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

final class LloydMaxGridTest {
  @Test
  void levelsAndThresholdsAreTheKnownOnes() {
    assertThat(LloydMaxGrid.levels(2))
        .containsExactly(new float[] {-1.5104f, -0.4528f, 0.4528f, 1.5104f}, within(5e-5f));
    assertThat(LloydMaxGrid.thresholds(2))
        .containsExactly(new float[] {-0.9816f, 0, 0.9816f}, within(5e-5f));
    assertThat(LloydMaxGrid.thresholds(3))
        .containsExactly(
            new float[] {-1.7479f, -1.05f, -0.5005f, 0, 0.5005f, 1.05f, 1.7479f}, within(6e-5f));
    assertThat(LloydMaxGrid.levels(4)).hasSize(16).isSorted().contains(2.7325896f);
  }

  /** Each level is the mean of the normal density between its thresholds, integrated here. */
  @Test
  void everyLevelIsTheMeanOfItsCell() {
    for (int bits = 2; bits <= 4; bits++) {
      float[] levels = LloydMaxGrid.levels(bits);
      float[] thresholds = LloydMaxGrid.thresholds(bits);
      for (int q = 0; q < levels.length; q++) {
        double from = q == 0 ? -9 : thresholds[q - 1];
        double to = q == thresholds.length ? 9 : thresholds[q];
        double mass = 0;
        double moment = 0;
        int steps = 200_000;
        for (int i = 0; i < steps; i++) {
          double x = from + (to - from) * (i + 0.5) / steps;
          double density = Math.exp(-x * x / 2);
          mass += density;
          moment += x * density;
        }
        assertThat(moment / mass).isCloseTo(levels[q], within(1e-6));
      }
    }
  }

  @Test
  void codesCountTheThresholdsReached() {
    KvQuantizer quantizer = KvQuantizer.lloydMax(2, 32, ScaleFormat.LOG8);
    float[] row = {-1, 1, -1, 1};
    QuantizedRow coded = quantizer.quantize(row); // RMS 1, beyond 0.9816
    assertThat(coded.codes()).containsExactly(0, 3, 0, 3);
    assertThat(quantizer.dequantize(coded)[1]).isCloseTo(1.5104176f, within(1e-7f));
    float[] small = {-0.5f, 0.5f, 0, (float) Math.sqrt(3.5)};
    assertThat(quantizer.quantize(small).codes()).containsExactly(1, 2, 2, 3);
  }
}
