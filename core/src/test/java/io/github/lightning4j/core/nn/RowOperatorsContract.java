package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link RowOperators} must do. */
abstract class RowOperatorsContract {
  abstract RowOperators rows();

  private static double[] normed(Tensor x, Tensor weight, float eps) {
    double[] in = x.toDoubles();
    double[] w = weight.toDoubles();
    double[] out = new double[in.length];
    for (int start = 0; start < in.length; start += w.length) {
      double squares = 0;
      for (int i = 0; i < w.length; i++) {
        squares += in[start + i] * in[start + i];
      }
      for (int i = 0; i < w.length; i++) {
        out[start + i] = w[i] * in[start + i] / Math.sqrt(squares / w.length + eps);
      }
    }
    return out;
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void normsAwkwardSizes(DType weights) {
    for (int t : new int[] {1, 2, 3, 33}) {
      for (int h : Cases.AWKWARD) {
        try (MemoryScope scope = new MemoryScope()) {
          Tensor x = scope.add(Cases.normal(t, DType.F32, t, h));
          Tensor weight = scope.add(Cases.normal(h, weights, h));
          Tensor out = scope.allocate(DType.F32, t, h);
          double[] expected = normed(x, weight, 1e-5f);
          rows().rmsNorm(x, weight, 1e-5f, out);
          Closeness.assertNmse(t + "x" + h, out.toDoubles(), expected, 1e-12);
          rows().rmsNorm(x, weight, 1e-5f, x);
          assertThat(x.toFloats()).isEqualTo(out.toFloats());
        }
      }
    }
  }

  @Test
  void normsStridedRowsAndTouchesNothingElse() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor wide = scope.add(Cases.normal(1, DType.F32, 5, 100));
      Tensor weight = scope.add(Cases.normal(2, DType.F32, 33));
      double[] before = wide.toDoubles();
      double[] expected = normed(wide.narrow(1, 3, 33), weight, 0);
      // The output lies beside the input in the same rows.
      rows().rmsNorm(wide.narrow(1, 3, 33), weight, 0, wide.narrow(1, 40, 33));
      Closeness.assertNmse("out", wide.narrow(1, 40, 33).toDoubles(), expected, 1e-12);
      double[] after = wide.toDoubles();
      for (int i = 0; i < after.length; i++) {
        boolean written = i % 100 >= 40 && i % 100 < 73;
        assertThat(after[i] == before[i]).as("element %s", i).isNotEqualTo(written);
      }
    }
  }

  @Test
  void addsScaledRowsOfAwkwardSizes() {
    for (int h : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(1, DType.F32, 3, h));
        Tensor y = scope.add(Cases.normal(2, DType.F32, 3, h));
        Tensor out = scope.allocate(DType.F32, 3, h);
        double[] expected = x.toDoubles();
        double[] second = y.toDoubles();
        for (int i = 0; i < expected.length; i++) {
          expected[i] = 3.5565588f * expected[i] - 0.25f * second[i];
        }
        rows().scaledSum(x, 3.5565588f, y, -0.25f, out);
        Closeness.assertNmse("sum " + h, out.toDoubles(), expected, 1e-12);
        rows().scaledSum(x, 3.5565588f, y, -0.25f, y);
        assertThat(y.toFloats()).isEqualTo(out.toFloats());
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void sumsAndNormsWithTheBitsOfBoth(DType weights) {
    for (int h : Cases.AWKWARD) {
      for (int aliased = 0; aliased < 3; aliased++) {
        try (MemoryScope scope = new MemoryScope()) {
          Tensor x = scope.add(Cases.normal(1, DType.F32, 5, h));
          Tensor y = scope.add(Cases.normal(2, DType.F32, 5, h));
          Tensor weight = scope.add(Cases.normal(3, weights, h));
          Tensor sum = scope.allocate(DType.F32, 5, h);
          Tensor normed = scope.allocate(DType.F32, 5, h);
          rows().scaledSum(x, 1.5f, y, -0.25f, sum);
          rows().rmsNorm(sum, weight, 1e-5f, normed);
          Tensor to = aliased == 1 ? x : aliased == 2 ? y : scope.allocate(DType.F32, 5, h);
          Tensor toNormed = aliased == 1 ? y : aliased == 2 ? x : scope.allocate(DType.F32, 5, h);
          rows().sumNorm(x, 1.5f, y, -0.25f, weight, 1e-5f, to, toNormed);
          assertThat(to.toFloats()).as("sum %s", h).isEqualTo(sum.toFloats());
          assertThat(toNormed.toFloats()).as("norm %s", h).isEqualTo(normed.toFloats());
        }
      }
    }
  }

  @Test
  void looksUpRowsOfQuantizedTables() {
    for (QuantFormat format : List.of(QuantFormat.int8(64), QuantFormat.int4(32))) {
      for (int h : Cases.AWKWARD) {
        try (MemoryScope scope = new MemoryScope()) {
          QuantizedMatrix table =
              scope.add(
                  QuantizedMatrix.quantize(scope.add(Cases.normal(h, DType.F32, 7, h)), format));
          Tensor ids = scope.allocate(DType.I32, 3);
          Tensor out = scope.allocate(DType.F32, 3, h);
          int[] wanted = {6, 0, 6};
          for (int t = 0; t < wanted.length; t++) {
            ids.accessor().setLong(t, wanted[t]);
          }
          rows().gatherRows(table, ids, out);
          for (int t = 0; t < wanted.length; t++) {
            assertThat(out.select(0, t).toFloats()).isEqualTo(table.row(wanted[t]));
          }
          ids.accessor().setLong(1, 7);
          assertThatThrownBy(() -> rows().gatherRows(table, ids, out))
              .hasMessage("ids[1]: expected 0 <= id < 7, got 7");
        }
      }
    }
  }

  @Test
  void rotatesTheFirstChannelsOfEveryHead() {
    for (int half : new int[] {1, 2, 3, 7, 8, 9, 16, 31, 32, 33}) {
      for (int rest : new int[] {0, 1, 5}) {
        checkRotation(half, 2 * half + rest);
      }
    }
  }

  private void checkRotation(int half, int d) {
    int tokens = 3;
    int heads = 2;
    try (MemoryScope scope = new MemoryScope()) {
      // Heads are views into wider ones, and tokens have more heads than are rotated.
      Tensor memory = scope.add(Cases.normal(half, DType.F32, tokens, heads + 1, d + 4));
      Tensor x = memory.narrow(1, 1, heads).narrow(2, 2, d);
      Tensor frequencies = scope.allocate(DType.F32, half);
      for (int j = 0; j < half; j++) {
        frequencies.accessor().set(j, Math.pow(10_000, -(double) j / half));
      }
      double[] untouched = memory.narrow(1, 0, 1).toDoubles();
      double[] expected = x.toDoubles();
      for (int row = 0; row < tokens * heads; row++) {
        for (int j = 0; j < half; j++) {
          double angle = (float) (1000 + row / heads) * (float) frequencies.accessor().get(j);
          double a = expected[row * d + j];
          double b = expected[row * d + j + half];
          // The angle is an fp32 product.
          double cos = Math.cos((float) angle);
          double sin = Math.sin((float) angle);
          expected[row * d + j] = a * cos - b * sin;
          expected[row * d + j + half] = b * cos + a * sin;
        }
      }
      rows().rope(x, frequencies, 1000);
      Closeness.assertNmse("rope " + half + " of " + d, x.toDoubles(), expected, 1e-11);
      assertThat(memory.narrow(1, 0, 1).toDoubles()).isEqualTo(untouched);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void gathersRowsExactly(DType type) {
    for (int h : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor table = scope.add(Cases.normal(h, type, 5, h));
        Tensor ids = scope.add(Tensor.of(new int[] {4, 0, 4, 2}, 4));
        Tensor out = scope.allocate(DType.F32, 4, h + 3).narrow(1, 1, h);
        rows().gatherRows(table, ids, out);
        for (int t = 0; t < 4; t++) {
          assertThat(out.select(0, t).toFloats())
              .isEqualTo(table.select(0, ids.accessor().getLong(t)).toFloats());
        }
      }
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      float[] one = everything(scope, 1);
      for (int threads : new int[] {2, 3, 7}) {
        assertThat(everything(scope, threads)).as("%s threads", threads).isEqualTo(one);
      }
    } finally {
      Threads.use(before);
    }
  }

  private float[] everything(MemoryScope scope, int threads) {
    Threads.use(threads);
    Tensor x = scope.add(Cases.normal(1, DType.F32, 129, 512));
    Tensor ids = scope.allocate(DType.I32, 129);
    for (int i = 0; i < 129; i++) {
      ids.accessor().setLong(i, i * 37 % 50);
    }
    Tensor out = scope.allocate(DType.F32, 129, 512);
    rows().gatherRows(scope.add(Cases.normal(2, DType.BF16, 50, 512)), ids, out);
    rows().scaledSum(x, 0.3f, out, 1.7f, out);
    rows().rmsNorm(out, scope.add(Cases.normal(3, DType.F16, 512)), 1e-6f, out);
    rows().rope(out.reshape(129, 4, 128), scope.add(Cases.normal(4, DType.F32, 32)), 9);
    return out.toFloats();
  }

  @Test
  void keepsNotANumberAndInfinityInTheirRow() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 3, 40));
      Tensor ones = scope.allocate(DType.F32, 40);
      for (int i = 0; i < 40; i++) {
        ones.accessor().set(i, 1);
      }
      x.accessor().set(5, Double.NaN);
      x.accessor().set(40 + 6, Double.POSITIVE_INFINITY);
      Tensor out = scope.allocate(DType.F32, 3, 40);
      rows().rmsNorm(x, ones, 0, out);
      assertThat(out.select(0, 0).toFloats()).containsOnly(Float.NaN);
      // The norm is infinite: finite channels vanish, the infinite one is undefined.
      assertThat(out.select(0, 1).toFloats()[6]).isNaN();
      assertThat(out.select(0, 1).toFloats()[7]).isZero();
      for (float value : out.select(0, 2).toFloats()) {
        assertThat(value).isFinite();
      }
      rows().scaledSum(x, 1, x, 0, out);
      assertThat(out.toFloats()[5]).isNaN();
      assertThat(out.toFloats()[46]).isNaN();
      assertThat(out.toFloats()[6]).isFinite();
    }
  }

  @Test
  void normsZerosToZerosWithEpsilonOnly() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, 1, 9);
      Tensor weight = scope.add(Cases.normal(1, DType.F32, 9));
      rows().rmsNorm(x, weight, 1e-5f, x);
      assertThat(x.toFloats()).containsOnly(0f, -0f);
      Tensor zero = scope.allocate(DType.F32, 1, 9);
      rows().rmsNorm(zero, weight, 0, zero);
      assertThat(zero.toFloats()).containsOnly(Float.NaN);
    }
  }

  @Test
  void takesNoRows() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor none = scope.allocate(DType.F32, 0, 8);
      Tensor row = scope.allocate(DType.F32, 8);
      rows().rmsNorm(none, row, 0, none);
      rows().scaledSum(none, 1, none, 1, none);
      rows().rope(scope.allocate(DType.F32, 0, 2, 8), row.narrow(0, 0, 4), 0);
      rows().gatherRows(scope.allocate(DType.F32, 1, 8), scope.allocate(DType.I32, 0), none);
      assertThat(none.elements()).isZero();
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, 4, 16);
      Tensor weight = scope.allocate(DType.BF16, 16);
      Tensor ids = scope.allocate(DType.I32, 4);
      Tensor table = scope.allocate(DType.F16, 3, 16);
      Tensor frequencies = scope.allocate(DType.F32, 4);
      FlatMemory.assertFlat(
          "rows",
          10_000,
          () -> {
            rows().gatherRows(table, ids, x);
            rows().rmsNorm(x, weight, 1, x);
            rows().scaledSum(x, 1, x, 1, x);
            rows().rope(x.reshape(4, 2, 8), frequencies, 3);
          });
    }
  }
}
