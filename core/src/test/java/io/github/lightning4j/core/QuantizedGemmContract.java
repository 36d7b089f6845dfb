package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.RoundedRows;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What every implementation of {@link Gemm} must do with quantized weights. */
abstract class QuantizedGemmContract {
  /** The stated bound against the exact product of the rounded activations. */
  private static final double NMSE = 1e-10;

  abstract Gemm gemm();

  /** Whether activations are rounded to integers. */
  abstract boolean rounds();

  /** The stated bound for rounding normal activations. */
  private static double roundingNmse(QuantFormat format) {
    return format.bits() == 8 ? 1e-8 : 1e-4;
  }

  /** The exact product with the activations as they are used. */
  private double[] product(Tensor a, Tensor dequantized, QuantFormat format) {
    if (!rounds()) {
      return GemmContract.product(a, dequantized);
    }
    double[] rounded = RoundedRows.of(a.toDoubles(), (int) a.size(1), format);
    try (Tensor used = Tensor.allocate(DType.F64, a.size(0), a.size(1))) {
      for (int i = 0; i < rounded.length; i++) {
        used.accessor().set(i, rounded[i]);
      }
      return GemmContract.product(used, dequantized);
    }
  }

  static List<QuantFormat> formats() {
    return List.of(
        QuantFormat.int8(),
        QuantFormat.int8(32),
        QuantFormat.int8(64),
        QuantFormat.int4(32),
        QuantFormat.int4(64),
        QuantFormat.int4(128));
  }

  @ParameterizedTest
  @MethodSource("formats")
  void agreesWithDoublesOverAwkwardSizes(QuantFormat format) {
    for (int n : new int[] {1, 2, 3, 4, 5, 49, 130}) {
      for (int k : Cases.AWKWARD) {
        check(1, n, k, format);
        check(3, n, k, format);
      }
    }
    for (int m = 1; m <= 40; m++) {
      check(m, 53, 161, format);
    }
    // More blocks than a vector has lanes.
    check(2, 9, 1312, format);
    check(5, 9, 2048, format);
    // More rows and columns than are taken at once.
    check(275, 101, 1100, format);
  }

  private void check(int m, int n, int k, QuantFormat format) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.add(Cases.normal(m, DType.F32, m, k));
      Tensor w = scope.add(Cases.normal(n + 100, DType.BF16, n, k));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, format));
      Tensor back = scope.allocate(DType.F32, n, k);
      quantized.dequantize(back);
      Tensor out = scope.allocate(DType.F32, m, n);
      gemm().multiply(a, quantized, out);
      String what = format + " " + m + "x" + n + "x" + k;
      double[] expected = product(a, back, format);
      Closeness.assertNmse(what, out.toDoubles(), expected, NMSE, k);
      if (m * n > 100) {
        double[] exact = GemmContract.product(a, back);
        Closeness.assertNmse(what, out.toDoubles(), exact, roundingNmse(format));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void keepsItsBoundForOutliersOffsetsAndAnyMagnitude(QuantFormat format) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.add(Cases.normal(1, DType.F32, 6, 320));
      for (int k = 0; k < 320; k++) {
        a.accessor().set(k, k % 128 == 5 ? 100 : a.accessor().get(k)); // one large in each block
        a.accessor().set(320 + k, a.accessor().get(320 + k) + 10); // all of one sign
        a.accessor().set(2 * 320 + k, 1e-20 * a.accessor().get(2 * 320 + k));
        a.accessor().set(3 * 320 + k, 1e20 * a.accessor().get(3 * 320 + k));
        a.accessor().set(4 * 320 + k, 0);
        a.accessor().set(5 * 320 + k, k < 64 ? 1e-38 : a.accessor().get(5 * 320 + k));
      }
      Tensor w = scope.add(Cases.normal(2, DType.F32, 40, 320));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, format));
      Tensor back = scope.allocate(DType.F32, 40, 320);
      quantized.dequantize(back);
      Tensor out = scope.allocate(DType.F32, 6, 40);
      gemm().multiply(a, quantized, out);
      double worst = format.bits() == 8 ? 1e-8 : format.block() / 1e5;
      for (int m = 0; m < 6; m++) {
        double[] came = out.narrow(0, m, 1).toDoubles();
        Tensor row = a.narrow(0, m, 1);
        Closeness.assertNmse("row " + m, came, product(row, back, format), NMSE);
        Closeness.assertNmse("exact " + m, came, GemmContract.product(row, back), worst);
      }
    }
  }

  @Test
  void severalWeightsGiveWhatEachGivesAlone() {
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {1, 5, 40}) {
        Tensor a = scope.add(Cases.normal(m, DType.F32, m, 600));
        List<QuantizedMatrix> w = new ArrayList<>();
        List<Tensor> out = new ArrayList<>();
        for (int n : new int[] {49, 1, 300, 96}) {
          Tensor plain = scope.add(Cases.normal(n, DType.BF16, n, 600));
          QuantFormat format = n == 300 ? QuantFormat.int8() : QuantFormat.int4(64);
          w.add(scope.add(QuantizedMatrix.quantize(plain, format)));
          out.add(scope.allocate(DType.F32, m, n));
        }
        gemm().multiplyAllQuantized(a, w, out);
        for (int i = 0; i < w.size(); i++) {
          Tensor alone = scope.allocate(DType.F32, out.get(i).shape());
          gemm().multiply(a, w.get(i), alone);
          assertThat(Arrays.equals(out.get(i).toFloats(), alone.toFloats()))
              .as("%s rows, product %s", m, i)
              .isTrue();
        }
      }
    }
  }

  @Test
  void takesRowStrides() {
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {3, 40}) {
        Tensor a = scope.add(Cases.normal(1, DType.F32, m, 80)).narrow(1, 5, 33);
        Tensor w = scope.add(Cases.normal(2, DType.BF16, 50, 90)).narrow(1, 7, 33);
        QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, QuantFormat.int4(32)));
        Tensor wide = scope.allocate(DType.F32, m, 70);
        Tensor out = wide.narrow(1, 10, 50);
        gemm().multiply(a, quantized, out);
        Tensor back = scope.allocate(DType.F32, 50, 33);
        quantized.dequantize(back);
        double[] expected = product(a, back, quantized.format());
        Closeness.assertNmse("strided", out.toDoubles(), expected, NMSE);
        assertThat(wide.narrow(1, 0, 10).toFloats()).containsOnly(0);
        assertThat(wide.narrow(1, 60, 10).toFloats()).containsOnly(0);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void givesTheSameBitsForAnyNumberOfThreadsAndRows(QuantFormat format) {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(4, DType.BF16, 1001, 416));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, format));
      for (int m : new int[] {1, 7, 16, 40, 275}) {
        Tensor a = scope.add(Cases.normal(3, DType.F32, m, 416));
        Tensor one = scope.allocate(DType.F32, m, 1001);
        Tensor four = scope.allocate(DType.F32, m, 1001);
        Threads.use(1);
        gemm().multiply(a, quantized, one);
        Threads.use(4);
        gemm().multiply(a, quantized, four);
        assertThat(four.toFloats()).isEqualTo(one.toFloats());
        int few = m <= 16 ? 1 : 17;
        Tensor last = scope.allocate(DType.F32, few, 1001);
        gemm().multiply(a.narrow(0, m - few, few), quantized, last);
        assertThat(last.toFloats()).isEqualTo(one.narrow(0, m - few, few).toFloats());
      }
    } finally {
      Threads.use(before);
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void keepsNotANumberAndInfinityInTheirRow(QuantFormat format) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(6, DType.F32, 9, 96));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, format));
      for (int m : new int[] {3, 20}) {
        Tensor a = scope.add(Cases.normal(5, DType.F32, m, 96));
        Tensor clean = scope.allocate(DType.F32, m, 9);
        gemm().multiply(a, quantized, clean);
        a.accessor().set(70, Double.NaN);
        a.accessor().set(2 * 96 + 95, Double.NEGATIVE_INFINITY);
        Tensor out = scope.allocate(DType.F32, m, 9);
        gemm().multiply(a, quantized, out);
        for (int i = 0; i < m * 9; i++) {
          if (i / 9 == 0 || i / 9 == 2 && quantized.row(i % 9)[95] != 0) {
            assertThat(out.toFloats()[i]).as("[%s, %s]", i / 9, i % 9).isNotFinite();
          } else if (i / 9 != 2) {
            assertThat(out.toFloats()[i]).isEqualTo(clean.toFloats()[i]);
          }
        }
      }
    }
  }

  @Test
  void takesNoRows() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(6, DType.F32, 9, 96));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, QuantFormat.int8()));
      Tensor out = scope.allocate(DType.F32, 0, 9);
      gemm().multiply(scope.allocate(DType.F32, 0, 96), quantized, out);
      assertThat(out.toFloats()).isEmpty();
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(2, DType.BF16, 8, 16));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, QuantFormat.int8()));
      for (int m : new int[] {2, 20}) {
        Tensor a = scope.add(Cases.normal(1, DType.F32, m, 16));
        Tensor out = scope.allocate(DType.F32, m, 8);
        FlatMemory.assertFlat("gemm", 10_000, () -> gemm().multiply(a, quantized, out));
      }
    }
  }

  @Test
  void aRunOfARecordingThatFailsLeavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor w = scope.add(Cases.normal(2, DType.BF16, 8, 16));
      QuantizedMatrix quantized = scope.add(QuantizedMatrix.quantize(w, QuantFormat.int8()));
      Tensor a = scope.add(Cases.normal(1, DType.F32, 40, 16));
      List<Consumer<Tensor>> products =
          List.of(out -> gemm().multiply(a, quantized, out), out -> gemm().multiply(a, w, out));
      for (Consumer<Tensor> product : products) {
        Tensor out = Tensor.allocate(DType.F32, 40, 8);
        Recording recording = Recording.of(() -> product.accept(out));
        recording.run();
        out.close();
        long before = Memory.liveBytes();
        assertThatThrownBy(recording::run).isInstanceOf(IllegalStateException.class);
        assertThat(Memory.liveBytes()).isEqualTo(before);
      }
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.allocate(DType.F32, 2, 8);
      Tensor w = scope.allocate(DType.F32, 4, 8);
      Tensor out = scope.allocate(DType.F32, 2, 4);
      QuantizedMatrix quantized = QuantizedMatrix.quantize(w, QuantFormat.int8());
      assertThatThrownBy(() -> gemm().multiply(a.narrow(1, 0, 7), quantized, out))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("a: expected shape [2, 8], got [2, 7]");
      assertThatThrownBy(() -> gemm().multiply(a, quantized, out.narrow(1, 0, 3)))
          .hasMessage("out: expected shape [2, 4], got [2, 3]");
      assertThatThrownBy(() -> gemm().multiply(a, quantized, a.narrow(1, 0, 4)))
          .hasMessageContaining("overlap");
      quantized.close();
      assertThatThrownBy(() -> gemm().multiply(a, quantized, out))
          .isInstanceOf(IllegalStateException.class);
    }
  }
}
