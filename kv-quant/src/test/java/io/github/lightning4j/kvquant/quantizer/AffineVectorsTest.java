package io.github.lightning4j.kvquant.quantizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Groups whose codes were worked out by hand. */
final class AffineVectorsTest {
  private static final float[] MIXED = {-1, 0.5f, 0.2f, 3, -0.6f, 1.1f, 2.2f, 0};
  private static final float[] OFFSET = {9, 9.5f, 10.2f, 11, 9.9f, 10, 10.4f, 9.2f};

  private static KvQuantizer exact(int bits, Clip clip) {
    return KvQuantizer.affine(bits, 32, clip, ScaleFormat.FP32, ZeroFormat.INTEGER);
  }

  private static void assertCoded(
      KvQuantizer quantizer, float[] row, double scale, double zero, int... codes) {
    QuantizedRow coded = quantizer.quantize(row);
    assertThat((double) quantizer.scaleOf(coded, 0)).isCloseTo(scale, within(1e-6));
    assertThat((double) quantizer.zeroOf(coded, 0)).isEqualTo(zero);
    assertThat(Rows.codes(coded)).isEqualTo(codes);
  }

  @Test
  void twoBitsClippedAsThePaperDoes() {
    KvQuantizer quantizer = exact(2, Clip.paper(0.8));
    assertCoded(quantizer, MIXED, 3.2 / 3, 1, 0, 1, 1, 3, 0, 2, 3, 1);
    float s = 3.2f / 3;
    assertThat(Rows.restored(quantizer, MIXED))
        .containsExactly(new float[] {-s, 0, 0, 2 * s, -s, s, 2 * s, 0}, within(1e-6f));
  }

  @Test
  void twoBitsWithoutClipping() {
    assertCoded(exact(2, Clip.NONE), MIXED, 4.0 / 3, 1, 0, 1, 1, 3, 1, 2, 3, 1);
  }

  @Test
  void fourBitsWithoutClipping() {
    assertCoded(exact(4, Clip.NONE), MIXED, 4.0 / 15, 4, 0, 6, 5, 15, 2, 8, 12, 4);
  }

  /** Half of the magnitudes 0 to 9 lie below 4.5, half way between the fifth and the sixth. */
  @Test
  void percentilesLieBetweenNeighbours() {
    KvQuantizer quantizer =
        KvQuantizer.affine(2, 32, Clip.percentile(0.5), ScaleFormat.FP32, ZeroFormat.FLOAT);
    assertCoded(
        quantizer,
        new float[] {9, 0, 1, 7, 3, 2, 4, 5, 8, 6},
        1.5,
        0,
        3,
        0,
        1,
        3,
        2,
        1,
        3,
        3,
        3,
        3);
    assertCoded(
        quantizer,
        new float[] {-9, 0, 1, 7, 3, 2, 4, 5, 8, 6},
        3,
        1.5,
        0,
        2,
        2,
        3,
        2,
        2,
        3,
        3,
        3,
        3);
    assertThat(Rows.restored(quantizer, new float[] {0, 0, 0, 3})).containsExactly(0, 0, 0, 3);
  }

  /** Three bits have 7 steps: 2^3 - 1, not the 3^2 - 1 of the authors' release. */
  @Test
  void threeBitsHaveSevenSteps() {
    float[] ramp = {0, 1, 2, 3, 4, 5, 6, 7};
    assertCoded(exact(3, Clip.NONE), ramp, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7);
    assertThat(Rows.restored(exact(3, Clip.NONE), ramp)).containsExactly(ramp);
  }

  /** The factor moves both ends of a group of 9 to 11 below its least value. */
  @Test
  void thePapersClipMapsAGroupOnOneSideToOneCode() {
    KvQuantizer quantizer = exact(2, Clip.paper(0.8));
    assertThat(Rows.codes(quantizer.quantize(OFFSET))).containsOnly(3);
    float[] restored = Rows.restored(quantizer, OFFSET);
    assertThat(restored).containsOnly(new float[] {8.533334f}, within(1e-5f));
    assertThat(Rows.meanSquare(restored, OFFSET)).isCloseTo(2.24528, within(1e-5));
  }

  @Test
  void theOtherRulesKeepAGroupOnOneSide() {
    assertThat(Rows.meanSquare(Rows.restored(exact(2, Clip.NONE), OFFSET), OFFSET))
        .isCloseTo(0.04861, within(1e-5));
    KvQuantizer centered =
        KvQuantizer.affine(2, 32, Clip.centered(0.8), ScaleFormat.FP32, ZeroFormat.FLOAT);
    assertThat(Rows.meanSquare(Rows.restored(centered, OFFSET), OFFSET))
        .isCloseTo(0.03194, within(1e-5));
    assertThat(Rows.meanSquare(Rows.restored(exact(2, Clip.percentile(0.92)), OFFSET), OFFSET))
        .isLessThan(0.0487);
  }

  /**
   * From the decoded scale, 25 % above the exact one here, other codes follow than from the exact.
   */
  @Test
  void codesComeFromTheRoundedScale() {
    float[] row = {0, 1.04f, 2.08f, 3.12f};
    KvQuantizer log = KvQuantizer.affine(2, 32, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER);
    assertThat(log.scaleOf(log.quantize(row), 0)).isEqualTo(1); // not 1.04
    float[] wide = new float[32];
    for (int i = 0; i < 32; i++) {
      wide[i] = 1.04f * i;
    }
    KvQuantizer eight = KvQuantizer.affine(8, 32, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER);
    QuantizedRow coded = eight.quantize(wide);
    float s = eight.scaleOf(coded, 0);
    assertThat(s / (1.04f * 31 / 255)).isNotCloseTo(1, within(0.01f));
    for (int i = 0; i < 31; i++) {
      assertThat(eight.dequantize(coded)[i]).isCloseTo(wide[i], within(s / 2 + 1e-5f));
    }
  }

  @ParameterizedTest
  @EnumSource
  void aRangeThatFitsIsWithinHalfAStep(ZeroFormat zero) {
    for (int bits : new int[] {2, 3, 4, 8}) {
      if (bits == 8 && zero == ZeroFormat.FRACTIONAL) {
        continue;
      }
      KvQuantizer quantizer = KvQuantizer.affine(bits, 128, Clip.NONE, ScaleFormat.FP32, zero);
      float[] row = Rows.normal(bits, 300, 0.3, 1);
      QuantizedRow coded = quantizer.quantize(row);
      float[] restored = quantizer.dequantize(coded);
      for (int i = 0; i < row.length; i++) {
        float step = quantizer.scaleOf(coded, i / 128);
        // An integer zero may shift the range by another half step at its ends.
        float allowed =
            zero == ZeroFormat.INTEGER ? 1 : zero == ZeroFormat.FRACTIONAL ? 0.5625f : 0.51f;
        assertThat(Math.abs(restored[i] - row[i])).isLessThanOrEqualTo(allowed * step);
      }
    }
  }
}
