package io.github.lightning4j.kvquant.quantizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

final class MetadataFormatsTest {
  @ParameterizedTest
  @CsvSource({
    "LOG8, 160, 1", "LOG8, 168, 2", "LOG8, 152, 0.5", "LOG8, 0, 9.5367431640625e-7",
    "E4M3, 0x38, 1", "E4M3, 0x7e, 448", "E4M3, 0x08, 0.015625", "E4M3, 0x01, 0.001953125",
    "E4M3, 0x07, 0.013671875", "E4M3, 0x3f, 1.875", "FP16, 0x3c00, 1", "FP16, 0x7bff, 65504",
    "FP32, 0x3f800000, 1"
  })
  void codesOfKnownScales(ScaleFormat format, String code, float scale) {
    assertThat(format.decode(Integer.decode(code))).isEqualTo(scale);
    assertThat(format.encode(scale)).isEqualTo(Integer.decode(code));
  }

  @ParameterizedTest
  @CsvSource({
    "LOG8, 1e-6, 3700, 0.0443",
    "E4M3, 0.015625, 448, 0.0589",
    "FP16, 6.2e-5, 65000, 4.9e-4",
    "FP32, 1e-30, 1e30, 6e-8"
  })
  void scalesAreRoundedToNearest(ScaleFormat format, double from, double to, double error) {
    double worst = 0;
    for (double scale = from; scale < to; scale *= 1.0007) {
      int code = format.encode(scale);
      double off = Math.abs(format.decode(code) / scale - 1);
      worst = Math.max(worst, off);
      assertThat(format.decode(format.encodeAtLeast(scale))).isGreaterThanOrEqualTo((float) scale);
      assertThat(format.encodeAtLeast(scale)).isBetween(code, code + 1);
    }
    assertThat(worst).isLessThanOrEqualTo(error).isGreaterThan(error / 2);
  }

  @ParameterizedTest
  @EnumSource
  void everyScaleCodeComesBack(ScaleFormat format) {
    int least = format.encode(0);
    int step = format == ScaleFormat.FP32 ? 99_991 : 1;
    int greatest = format.encode(Double.POSITIVE_INFINITY);
    for (int code = least; code <= greatest && code >= least; code += step) {
      assertThat(format.encode(format.decode(code))).isEqualTo(code);
      assertThat(format.decode(code)).isPositive().isFinite();
    }
  }

  @Test
  void scalesBeyondTheRangeTakeItsEnds() {
    for (ScaleFormat format : ScaleFormat.values()) {
      assertThat(format.decode(format.encode(1e-300))).isPositive();
      assertThat(format.decode(format.encode(1e300))).isFinite();
      assertThat(format.encodeAtLeast(1e300)).isEqualTo(format.encode(1e300));
    }
    assertThat(ScaleFormat.LOG8.decode(255)).isCloseTo(3756f, within(1f));
  }

  @Test
  void zerosAreRoundedHalfToEvenAndSaturate() {
    ZeroFormat integer = ZeroFormat.INTEGER;
    assertThat(integer.decode(integer.encode(0.5, 2), 2)).isZero();
    assertThat(integer.decode(integer.encode(1.5, 2), 2)).isEqualTo(2);
    assertThat(integer.decode(integer.encode(-2.5, 2), 2)).isEqualTo(-2);
    assertThat(integer.decode(integer.encode(1e9, 2), 2)).isEqualTo(129);
    assertThat(integer.decode(integer.encode(-1e9, 2), 2)).isEqualTo(-126);
    assertThat(integer.decode(integer.encode(255, 8), 8)).isEqualTo(255);
    assertThat(integer.decode(integer.encode(-1, 8), 8)).isZero();
    ZeroFormat eighths = ZeroFormat.FRACTIONAL;
    assertThat(eighths.decode(eighths.encode(1.3, 2), 2)).isEqualTo(1.25f);
    assertThat(eighths.decode(eighths.encode(-13.9, 2), 2)).isEqualTo(-13.875f);
    assertThat(eighths.decode(eighths.encode(-20, 2), 2)).isEqualTo(-14);
    assertThat(eighths.decode(eighths.encode(1e9, 4), 4)).isEqualTo(23.875f);
    ZeroFormat real = ZeroFormat.FLOAT;
    assertThat(real.decode(real.encode(1.3, 2), 2)).isCloseTo(1.3f, within(3e-4f));
    assertThat(real.decode(real.encode(-1e9, 2), 2)).isEqualTo(-65502);
  }

  @Test
  void metadataLieLowerByteFirst() {
    KvQuantizer quantizer =
        KvQuantizer.affine(2, 32, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT);
    float[] row = new float[64];
    row[0] = 3; // scale 1, zero 0: stored 0 - 2
    row[32] = -3.75f; // scale 1.25, zero 3: stored 3 - 2
    QuantizedRow coded = quantizer.quantize(row);
    assertThat(coded.scales()).containsExactly(0x00, 0x3c, 0x00, 0x3d);
    assertThat(coded.zeros()).containsExactly(0x00, 0xc0, 0x00, 0x3c);
  }

  @Test
  void bitsAreCountedWithTheirMetadata() {
    assertThat(
            KvQuantizer.affine(2, 128, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER)
                .bitsPerElement())
        .isEqualTo(2.125);
    assertThat(
            KvQuantizer.affine(2, 32, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT)
                .bitsPerElement())
        .isEqualTo(3);
    assertThat(KvQuantizer.lloydMax(2, 128, ScaleFormat.LOG8).bitsPerElement()).isEqualTo(2.0625);
  }
}
