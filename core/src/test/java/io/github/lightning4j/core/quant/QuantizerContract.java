package io.github.lightning4j.core.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What every implementation of {@link QuantizedMatrix#quantize} must do. */
abstract class QuantizerContract {
  static List<QuantFormat> formats() {
    return List.of(
        QuantFormat.int8(),
        QuantFormat.int8(32),
        QuantFormat.int8(64),
        QuantFormat.int8(128),
        QuantFormat.int4(32),
        QuantFormat.int4(64),
        QuantFormat.int4(128));
  }

  abstract Backend backend();

  QuantizedMatrix quantize(Tensor w, QuantFormat format) {
    return QuantizedMatrix.quantize(w, format, backend());
  }

  @ParameterizedTest
  @MethodSource("formats")
  void staysWithinHalfAStepOfEveryWeight(QuantFormat format) {
    for (int columns : Cases.AWKWARD) {
      try (Tensor w = Cases.normal(columns, DType.F32, 5, columns);
          QuantizedMatrix quantized = quantize(w, format)) {
        float[] weights = w.toFloats();
        for (int n = 0; n < 5; n++) {
          float[] row = quantized.row(n);
          for (int k = 0; k < columns; k++) {
            int group = format.isWholeRow() ? columns : format.group();
            int first = k / group * group;
            // Half a step of the range, the rounding of its scale, and what a clip may cut off.
            double range = range(weights, n * columns + first, n, columns, group, format);
            double allowed = format.bits() == 8 ? range / 254 * 1.02 : range * (0.65 / 30 + 0.36);
            assertThat((double) row[k])
                .as("%s, %s columns, [%s, %s]", format, columns, n, k)
                .isCloseTo(weights[n * columns + k], within(allowed + 1e-30));
          }
        }
      }
    }
  }

  /** The largest magnitude of a group (8 bits), or the length of its range with 0 (4 bits). */
  private static double range(
      float[] w, int from, int row, int columns, int group, QuantFormat format) {
    double low = 0;
    double high = 0;
    for (int i = from; i < Math.min(from + group, (row + 1) * columns); i++) {
      low = Math.min(low, w[i]);
      high = Math.max(high, w[i]);
    }
    return format.bits() == 8 ? Math.max(-low, high) : high - low;
  }

  @ParameterizedTest
  @MethodSource("formats")
  void reportsTheErrorThatItMade(QuantFormat format) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(3, DType.BF16, 33, 257));
      QuantizedMatrix quantized = scope.add(quantize(w, format));
      Tensor back = scope.allocate(DType.F32, 33, 257);
      quantized.dequantize(back);
      double[] weights = w.toDoubles();
      double[] coded = back.toDoubles();
      double largest = 0;
      double squares = 0;
      double norm = 0;
      for (int i = 0; i < coded.length; i++) {
        largest = Math.max(largest, Math.abs(weights[i] - coded[i]));
        squares += (weights[i] - coded[i]) * (weights[i] - coded[i]);
        norm += weights[i] * weights[i];
      }
      QuantizationError error = quantized.error();
      assertThat(error.maxAbsolute()).isCloseTo(largest, within(1e-6 * largest));
      assertThat(error.squaredError()).isCloseTo(squares, within(1e-5 * squares));
      assertThat(error.squaredWeights()).isCloseTo(norm, within(1e-5 * norm));
      assertThat(error.relativeRms()).isBetween(1e-4, format.bits() == 8 ? 0.01 : 0.12);
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void imagesGiveTheSameMatrix(QuantFormat format) {
    for (int columns : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor w = scope.add(Cases.normal(columns, DType.F32, 3, columns));
        QuantizedMatrix made = scope.add(quantize(w, format));
        long bytes = QuantizedMatrix.imageBytes(format, 3, columns);
        assertThat(bytes % 64).isZero();
        assertThat(made.bytes()).isEqualTo(bytes + 64);
        assertThat(made.image().shape()).containsExactly(bytes);
        Tensor kept = scope.allocate(DType.U8, bytes);
        kept.copyFrom(made.image());
        QuantizedMatrix read = scope.add(QuantizedMatrix.ofImage(format, 3, columns, kept));
        assertThat(read.format()).isEqualTo(format);
        for (int row = 0; row < 3; row++) {
          assertThat(read.row(row)).isEqualTo(made.row(row));
        }
        Tensor filled = scope.allocate(DType.U8, bytes);
        scope.add(QuantizedMatrix.quantize(w, format, filled));
        assertThat(filled.toLongs()).isEqualTo(kept.toLongs());
        Tensor last = scope.allocate(DType.F32, 2, columns);
        read.dequantizeRows(1, last);
        assertThat(last.select(0, 0).toFloats()).isEqualTo(made.row(1));
        assertThat(last.select(0, 1).toFloats()).isEqualTo(made.row(2));
        assertThatThrownBy(read::error).isInstanceOf(IllegalStateException.class);
      }
    }
  }

  @Test
  void refusesImagesOfAnotherSize() {
    QuantFormat format = QuantFormat.int4(32);
    try (Tensor image = Tensor.allocate(DType.U8, QuantizedMatrix.imageBytes(format, 3, 64));
        Tensor rows = Tensor.allocate(DType.F32, 2, 64)) {
      assertThatThrownBy(() -> QuantizedMatrix.ofImage(format, 3, 65, image))
          .hasMessageStartingWith("image: expected shape");
      assertThatThrownBy(() -> QuantizedMatrix.ofImage(format, 0, 64, image))
          .hasMessage("expected a matrix with elements, got [0, 64]");
      try (QuantizedMatrix read = QuantizedMatrix.ofImage(format, 3, 64, image)) {
        assertThatThrownBy(() -> read.dequantizeRows(2, rows))
            .hasMessage("first: expected rows 2 to 4 to be within 0 to 3");
      }
    }
  }

  @Test
  void losesLessInSmallerGroupsAndMoreBits() {
    try (Tensor w = Cases.normal(4, DType.F32, 16, 512)) {
      double last = 0;
      for (int group : new int[] {32, 64, 128}) {
        try (QuantizedMatrix eight = quantize(w, QuantFormat.int8(group));
            QuantizedMatrix four = quantize(w, QuantFormat.int4(group))) {
          assertThat(four.error().relativeRms()).isGreaterThan(10 * eight.error().relativeRms());
          assertThat(four.error().relativeRms()).isGreaterThan(last);
          last = four.error().relativeRms();
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void codesSpecialGroups(QuantFormat format) {
    try (Tensor w = Tensor.allocate(DType.F32, 5, 40)) {
      for (int k = 0; k < 40; k++) {
        w.accessor().set(40 + k, 0.375); // min == max
        w.accessor().set(80 + k, -3); // all negative
        w.accessor().set(120 + k, k % 2 == 0 ? 1e-38 : -1e-38); // too small to scale
        w.accessor().set(160 + k, k == 7 ? 3e38 : -3e38); // the range is beyond fp32
      }
      try (QuantizedMatrix quantized = quantize(w, format)) {
        assertThat(quantized.row(0)).containsOnly(0);
        // One code serves all: what is lost is the rounding of its scale.
        for (float value : quantized.row(1)) {
          assertThat(value).isCloseTo(0.375f, within(0.375f / 256));
        }
        for (float value : quantized.row(2)) {
          assertThat(value).isCloseTo(-3, within(3f / 256));
        }
        assertThat(quantized.row(3)).containsOnly(0);
        for (float value : quantized.row(4)) {
          assertThat(Math.abs(value)).isBetween(1.9e38f, 3.3e38f);
        }
      }
    }
  }

  @Test
  void choosesAClipWhereItPays() {
    try (Tensor w = Cases.normal(5, DType.F32, 1, 128)) {
      // One outlier: keeping all of it would make the steps of the others a third larger.
      w.accessor().set(9, 5);
      try (QuantizedMatrix quantized = quantize(w, QuantFormat.int4(128))) {
        assertThat(quantized.row(0)[9]).isLessThan(4.9f);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void takesRowStridesAndAllWeightTypes(DType dtype) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor wide = scope.add(Cases.normal(6, dtype, 7, 90));
      Tensor w = wide.narrow(1, 11, 65);
      Tensor dense = scope.allocate(dtype, 7, 65);
      dense.copyFrom(w);
      QuantizedMatrix strided = scope.add(quantize(w, QuantFormat.int4(32)));
      QuantizedMatrix plain = scope.add(quantize(dense, QuantFormat.int4(32)));
      for (int n = 0; n < 7; n++) {
        assertThat(strided.row(n)).isEqualTo(plain.row(n));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void givesTheSameCodesAsTheReferenceForAnyNumberOfThreads(QuantFormat format) {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(7, DType.BF16, 700, 161));
      QuantizedMatrix reference = scope.add(QuantizedMatrix.quantize(w, format, Backend.REFERENCE));
      for (int threads : new int[] {1, 4}) {
        Threads.use(threads);
        QuantizedMatrix quantized = scope.add(quantize(w, format));
        for (int n = 0; n < 700; n++) {
          assertThat(quantized.row(n)).as("row %s", n).isEqualTo(reference.row(n));
        }
        assertThat(quantized.error().maxAbsolute()).isEqualTo(reference.error().maxAbsolute());
      }
    } finally {
      Threads.use(before);
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {Double.NaN, Double.NEGATIVE_INFINITY})
  void namesTheFirstWeightThatIsNotFinite(double broken) {
    try (Tensor w = Cases.normal(8, DType.F32, 600, 161)) {
      w.accessor().set(17 * 161 + 160, broken);
      w.accessor().set(599 * 161, broken);
      for (QuantFormat format : formats()) {
        assertThatThrownBy(() -> quantize(w, format))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessage("w[17, 160]: expected a finite weight, got " + broken);
      }
    }
  }

  @Test
  void holdsAboutTheBytesOfItsFormat() {
    try (Tensor w = Cases.normal(9, DType.F32, 64, 256)) {
      int weights = 64 * 256;
      for (QuantFormat format : formats()) {
        try (QuantizedMatrix quantized = quantize(w, format)) {
          int perBlock = format.bits() == 8 ? 2 : 3;
          int exact = weights * format.bits() / 8 + weights / format.block() * perBlock;
          assertThat(quantized.bytes()).isBetween((long) exact, exact + 512L);
        }
      }
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Tensor w = Cases.normal(10, DType.F32, 4, 33)) {
      FlatMemory.assertFlat("quantize", 10_000, () -> quantize(w, QuantFormat.int4(32)).close());
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(11, DType.F32, 2, 8));
      assertThatThrownBy(() -> quantize(scope.allocate(DType.I8, 2, 8), QuantFormat.int8()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("w: expected dtype in");
      assertThatThrownBy(() -> quantize(scope.allocate(DType.F32, 0, 8), QuantFormat.int8()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("w: expected a matrix with elements");
      assertThatThrownBy(() -> new QuantFormat(4, 0))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith("group: expected 32, 64 or 128");
      assertThatThrownBy(() -> new QuantFormat(3, 32)).hasMessage("bits: expected 8 or 4, got 3");
      QuantizedMatrix quantized = quantize(w, QuantFormat.int8());
      assertThatThrownBy(() -> quantized.dequantize(scope.allocate(DType.F32, 8, 2)))
          .hasMessage("out: expected shape [2, 8], got [8, 2]");
      assertThatThrownBy(() -> quantized.row(2)).hasMessage("row: expected 0 <= 2 < 2");
      quantized.close();
      assertThatThrownBy(() -> quantized.row(0)).isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(quantized::descriptor).isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(quantized::close).isInstanceOf(IllegalStateException.class);
    }
  }
}
