package io.github.lightning4j.kvquant.quantizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The mean square error on standard normal values, which theory or simulation gives. */
final class GaussianErrorTest {
  private static final int GROUPS = 20_000;

  private static double error(KvQuantizer quantizer) {
    Random random = new Random(7);
    float[] row = new float[quantizer.group()];
    double error = 0;
    double norm = 0;
    for (int g = 0; g < GROUPS; g++) {
      for (int i = 0; i < row.length; i++) {
        row[i] = (float) random.nextGaussian();
        norm += (double) row[i] * row[i];
      }
      error += Rows.meanSquare(Rows.restored(quantizer, row), row) * row.length;
    }
    return error / norm;
  }

  @ParameterizedTest
  @CsvSource({
    "2, 128, PAPER, 1.0, INTEGER, FP32, 0.253",
    "2, 128, PAPER, 0.9, INTEGER, FP32, 0.208",
    "2, 128, PAPER, 0.8, INTEGER, FP32, 0.172",
    "2, 128, PAPER, 0.65, INTEGER, FP32, 0.142",
    "2, 128, PAPER, 0.6, INTEGER, FP32, 0.140",
    "2, 128, PAPER, 0.8, FRACTIONAL, FP32, 0.1625",
    "2, 128, PAPER, 0.8, FRACTIONAL, LOG8, 0.1628",
    "2, 128, CENTERED, 0.6, FLOAT, FP32, 0.122",
    "2, 128, PERCENTILE, 0.92, FLOAT, FP32, 0.127",
    "2, 128, PERCENTILE, 0.96, FLOAT, FP32, 0.156",
    "3, 128, PAPER, 1.0, INTEGER, FP32, 0.0464",
    "3, 128, PAPER, 0.8, INTEGER, FP32, 0.036",
    "4, 128, PAPER, 1.0, INTEGER, FP32, 0.0101",
    "4, 128, PAPER, 0.8, INTEGER, FP32, 0.0126",
    "2, 32, PAPER, 1.0, INTEGER, FP32, 0.165",
    "2, 32, PAPER, 0.8, INTEGER, FP32, 0.120"
  })
  void affine(
      int bits,
      int group,
      Clip.Rule rule,
      double value,
      ZeroFormat zero,
      ScaleFormat scale,
      double expected) {
    KvQuantizer quantizer = KvQuantizer.affine(bits, group, new Clip(rule, value), scale, zero);
    assertThat(error(quantizer)).isCloseTo(expected, withinPercentage(2));
  }

  @ParameterizedTest
  @CsvSource({"2, FP32, 0.116", "2, LOG8, 0.1164", "3, FP32, 0.034", "4, FP32, 0.0093"})
  void lloydMax(int bits, ScaleFormat scale, double expected) {
    assertThat(error(KvQuantizer.lloydMax(bits, 128, scale)))
        .isCloseTo(expected, withinPercentage(2));
  }
}
