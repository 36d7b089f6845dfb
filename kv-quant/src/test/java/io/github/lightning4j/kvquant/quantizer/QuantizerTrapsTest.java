package io.github.lightning4j.kvquant.quantizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Groups that break a careless quantizer. */
final class QuantizerTrapsTest {
  static Stream<KvQuantizer> affine() {
    List<KvQuantizer> all = new ArrayList<>();
    for (int bits : new int[] {2, 3, 4, 8}) {
      for (ScaleFormat scale : ScaleFormat.values()) {
        for (ZeroFormat zero : ZeroFormat.values()) {
          if (bits < 8 || zero != ZeroFormat.FRACTIONAL) {
            for (Clip clip :
                List.of(Clip.NONE, Clip.paper(0.8), Clip.centered(0.6), Clip.percentile(0.9))) {
              all.add(KvQuantizer.affine(bits, 32, clip, scale, zero));
            }
          }
        }
      }
    }
    return all.stream();
  }

  /** A float reaches so far that nothing saturates, and the paper's clip has its way. */
  static Stream<KvQuantizer> saturating() {
    return affine()
        .filter(
            quantizer ->
                quantizer.grid() instanceof AffineGrid grid
                    && (grid.zero() != ZeroFormat.FLOAT || !grid.clip().equals(Clip.paper(0.8))));
  }

  static Stream<KvQuantizer> lloydMax() {
    return Stream.of(ScaleFormat.values())
        .flatMap(scale -> Stream.of(2, 3, 4).map(b -> KvQuantizer.lloydMax(b, 32, scale)));
  }

  @ParameterizedTest
  @MethodSource("affine")
  void aGroupOfEqualValuesKeepsThem(KvQuantizer quantizer) {
    for (float value : new float[] {5, -5, 0.01f, -0.3f, 99}) {
      float[] row = new float[32];
      Arrays.fill(row, value);
      float[] restored = Rows.restored(quantizer, row);
      // Of a step of |value| / 14 the zero point holds eighths: 1 part in 224, more where the least
      // step of the scale is larger than wanted.
      float least = quantizer.scale().decode(quantizer.scale().encode(0));
      assertThat(restored)
          .containsOnly(new float[] {value}, within(Math.abs(value) / 100 + least / 2));
    }
  }

  @ParameterizedTest
  @MethodSource("affine")
  void zerosStayZeros(KvQuantizer quantizer) {
    assertThat(Rows.restored(quantizer, new float[40])).containsOnly(0);
  }

  @ParameterizedTest
  @MethodSource("lloydMax")
  void zerosStayNextToZero(KvQuantizer quantizer) {
    float least = quantizer.scale().decode(quantizer.scale().encode(0));
    assertThat(Rows.restored(quantizer, new float[40])).containsOnly(new float[1], within(least));
  }

  /** 100.0 to 100.3: the zero point would be -1000 steps, beyond a byte. */
  @ParameterizedTest
  @MethodSource("saturating")
  void aZeroPointThatSaturatesWidensTheStep(KvQuantizer quantizer) {
    for (float sign : new float[] {1, -1}) {
      float[] row = new float[32];
      for (int i = 0; i < 32; i++) {
        row[i] = sign * (100 + i * 0.01f);
      }
      float[] restored = Rows.restored(quantizer, row);
      for (int i = 0; i < 32; i++) {
        assertThat(restored[i]).isCloseTo(row[i], within(1.5f));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("affine")
  void extremesStayFinite(KvQuantizer quantizer) {
    float[] row = Rows.normal(1, 64, 0, 1);
    row[3] = 1e38f;
    row[4] = -1e38f;
    row[40] = Float.MIN_VALUE;
    for (float value : Rows.restored(quantizer, row)) {
      assertThat(value).isFinite();
    }
  }

  @ParameterizedTest
  @MethodSource({"affine", "lloydMax"})
  void refusesWhatIsNotFinite(KvQuantizer quantizer) {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      float[] row = new float[40];
      row[37] = bad;
      assertThatThrownBy(() -> quantizer.quantize(row))
          .isInstanceOf(NonFiniteInputException.class)
          .hasMessage("row, channel 37: expected a finite number, got " + bad);
    }
  }

  @Test
  void theRefusalNamesLayerHeadAndToken() {
    var found = new NonFiniteInputException("row", 37, Float.NaN);
    var placed = found.at("key", NonFiniteInputException.UNKNOWN, 2, 1000);
    assertThat(placed)
        .hasMessage("key, head 2, token 1000, channel 37: expected a finite number, got NaN");
    var complete =
        placed.at("key", 5, NonFiniteInputException.UNKNOWN, NonFiniteInputException.UNKNOWN);
    assertThat(complete)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "key, layer 5, head 2, token 1000, channel 37: expected a finite number, got NaN");
    assertThat(complete.what()).isEqualTo("key");
    assertThat(complete.layer()).isEqualTo(5);
    assertThat(complete.head()).isEqualTo(2);
    assertThat(complete.token()).isEqualTo(1000);
    assertThat(complete.channel()).isEqualTo(37);
    assertThat(complete.value()).isNaN();
  }

  @Test
  void groupsDoNotReachIntoOneAnother() {
    KvQuantizer quantizer =
        KvQuantizer.affine(4, 32, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER);
    float[] row = Rows.normal(1, 75, 0, 1);
    float[] before = Rows.restored(quantizer, row);
    for (int i = 32; i < 64; i++) {
      row[i] *= 50;
    }
    float[] after = Rows.restored(quantizer, row);
    assertThat(Arrays.copyOf(after, 32)).isEqualTo(Arrays.copyOf(before, 32));
    assertThat(Arrays.copyOfRange(after, 64, 75)).isEqualTo(Arrays.copyOfRange(before, 64, 75));
    assertThat(quantizer.groups(75)).isEqualTo(3);
  }

  @Test
  void refusesFormatsThatThereAreNot() {
    assertRefused(
        () -> KvQuantizer.lloydMax(5, 32, ScaleFormat.LOG8), "bits: expected 2, 3, 4 or 8, got 5");
    assertRefused(
        () -> KvQuantizer.lloydMax(2, 48, ScaleFormat.LOG8),
        "group: expected 32, 64 or 128, got 48");
    assertRefused(
        () -> KvQuantizer.lloydMax(8, 32, ScaleFormat.LOG8),
        "grid: expected an affine grid for 8 bits (Lloyd-Max has 2, 3 and 4), got LloydMaxGrid[]");
    assertThatThrownBy(
            () -> KvQuantizer.affine(8, 32, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.FRACTIONAL))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("expected INTEGER or FLOAT for 8 bits");
    assertRefused(() -> Clip.paper(0), "clip: expected 0 < value <= 1, got 0.0");
    assertRefused(() -> Clip.centered(Double.NaN), "clip: expected 0 < value <= 1, got NaN");
    KvQuantizer quantizer = KvQuantizer.lloydMax(2, 32, ScaleFormat.LOG8);
    assertRefused(
        () -> quantizer.dequantize(new QuantizedRow(new byte[33], new byte[1], new byte[0])),
        "row: expected 2 groups of 1 + 0 bytes for 33 codes, got 1 and 0 bytes");
  }

  private static void assertRefused(Runnable call, String message) {
    assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }
}
