package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** The kernels of {@code rows.cu} and {@code argmax.cu} against the formulas in double. */
@RequiresCuda
final class CudaRowOperatorsDeviceTest {
  private Gpu gpu;
  private CudaRowOperators rows;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    rows = CudaRowOperators.on(gpu.stream());
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  /** Compares with what the exact result is when rounded once. */
  private void assertRounded(String what, Tensor out, double[] expected) {
    double[] actual = gpu.doubles(out);
    try (Tensor rounded = Tensor.allocate(out.dtype(), out.shape())) {
      Elements to = rounded.accessor();
      for (int i = 0; i < expected.length; i++) {
        to.set(i, expected[i]);
      }
      if (out.dtype() == DType.F32) {
        Closeness.assertNmse(what, actual, expected, 1e-12);
      } else {
        Closeness.assertNoWorseThanNaive(what, actual, rounded.toDoubles(), expected);
      }
    }
  }

  private static double[] normed(double[] in, double[] w, float eps) {
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
  void normsAwkwardSizes(DType type) {
    for (int h : new int[] {1, 2, 7, 8, 9, 31, 32, 33, 64, 129, 256, 257, 2056}) {
      Tensor x = gpu.normal(h, type, 3, h);
      Tensor weight = gpu.normal(h + 1, DType.BF16, h);
      Tensor out = gpu.allocate(type, 3, h);
      double[] expected = normed(gpu.doubles(x), gpu.doubles(weight), 1e-5f);
      rows.rmsNorm(x, weight, 1e-5f, out);
      assertRounded("norm " + h, out, expected);
      rows.rmsNorm(x, weight, 1e-5f, x);
      assertThat(gpu.doubles(x)).isEqualTo(gpu.doubles(out));
    }
  }

  @Test
  void normsTheWidthOfTheReleasedModels() {
    Tensor x = gpu.normal(1, DType.BF16, 2, 6144);
    Tensor weight = gpu.normal(2, DType.BF16, 6144);
    double[] expected = normed(gpu.doubles(x), gpu.doubles(weight), 1e-5f);
    rows.rmsNorm(x, weight, 1e-5f, x);
    assertRounded("norm", x, expected);
  }

  @Test
  void normsStridedRowsAndTouchesNothingElse() {
    Tensor wide = gpu.normal(1, DType.F32, 5, 100);
    Tensor weight = gpu.normal(2, DType.F32, 33);
    double[] before = gpu.doubles(wide);
    double[] expected = normed(gpu.doubles(wide.narrow(1, 3, 33)), gpu.doubles(weight), 0);
    rows.rmsNorm(wide.narrow(1, 3, 33), weight, 0, wide.narrow(1, 40, 33));
    assertRounded("out", wide.narrow(1, 40, 33), expected);
    double[] after = gpu.doubles(wide);
    for (int i = 0; i < after.length; i++) {
      boolean written = i % 100 >= 40 && i % 100 < 73;
      assertThat(after[i] == before[i]).as("element %s", i).isNotEqualTo(written);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void addsScaledRows(DType type) {
    for (int h : Cases.AWKWARD) {
      Tensor x = gpu.normal(1, type, 3, h);
      Tensor y = gpu.normal(2, type, 3, h);
      double[] expected = gpu.doubles(x);
      double[] second = gpu.doubles(y);
      for (int i = 0; i < expected.length; i++) {
        expected[i] = 3.5565588f * expected[i] - 0.25f * second[i];
      }
      rows.scaledSum(x, 3.5565588f, y, -0.25f, y);
      assertRounded("sum " + h, y, expected);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void gatesHalvesOfOneMatrix(DType type) {
    for (int h : new int[] {1, 3, 8, 33, 64, 257}) {
      Tensor both = gpu.normal(h, type, 3, 2 * h);
      Tensor gate = both.narrow(1, 0, h);
      Tensor up = both.narrow(1, h, h);
      Tensor out = gpu.allocate(type, 3, h);
      double[] expected = gpu.doubles(up);
      double[] g = gpu.doubles(gate);
      for (int i = 0; i < g.length; i++) {
        expected[i] *= g[i] / (1 + Math.exp(-g[i]));
      }
      rows.siluGate(gate, up, out);
      assertRounded("gate " + h, out, expected);
    }
  }

  @Test
  void gatesValuesWhoseExponentialOverflows() {
    Tensor gate = gpu.up(Tensor.of(new float[] {-200, 200, -0f, 1e-30f}, 1, 4));
    Tensor up = gpu.up(Tensor.of(new float[] {3, 3, 3, 3}, 1, 4));
    rows.siluGate(gate, up, up);
    assertThat(gpu.down(up).toFloats()).containsExactly(-0f, 600f, -0f, 1.5e-30f);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void rotatesTheFirstChannelsOfEveryHead(DType type) {
    for (int half : new int[] {1, 3, 8, 31, 32}) {
      for (int rest : new int[] {0, 5, 8}) {
        checkRotation(type, half, 2 * half + rest);
      }
    }
  }

  private void checkRotation(DType type, int half, int d) {
    int tokens = 3;
    int heads = 2;
    int[] positions = {1000, 7, 123_456};
    double[] frequencies = new double[half];
    try (Tensor table = Tensor.allocate(DType.F32, half)) {
      for (int j = 0; j < half; j++) {
        table.accessor().set(j, Math.pow(10_000, -(double) j / half));
        frequencies[j] = table.accessor().get(j);
      }
      Tensor there = gpu.allocate(DType.F32, half);
      gpu.stream().copy(table, there);
      for (boolean listed : new boolean[] {true, false}) {
        Tensor x = gpu.normal(half, type, tokens, heads, d);
        double[] expected = gpu.doubles(x);
        for (int row = 0; row < tokens * heads; row++) {
          int t = row / heads;
          float position = listed ? positions[t] : 1000 + t;
          for (int j = 0; j < half; j++) {
            double angle = position * (float) frequencies[j];
            double a = expected[row * d + j];
            double b = expected[row * d + j + half];
            double cos = Math.cos((float) angle);
            double sin = Math.sin((float) angle);
            expected[row * d + j] = a * cos - b * sin;
            expected[row * d + j + half] = b * cos + a * sin;
          }
        }
        rows.rope(x, there, listed ? gpu.up(Tensor.of(positions, tokens)) : null, 1000);
        assertRounded("rope " + half + " of " + d, x, expected);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void gathersRows(DType type) {
    for (int h : Cases.AWKWARD) {
      Tensor table = gpu.normal(h, DType.BF16, 5, h);
      Tensor ids = gpu.up(Tensor.of(new int[] {4, 0, 5, 4, -1}, 5));
      Tensor out = gpu.allocate(type, 5, h);
      rows.gatherRows(table, ids, out);
      double[] all = gpu.doubles(table);
      double[] expected = new double[5 * h];
      Arrays.fill(expected, Double.NaN);
      System.arraycopy(all, 4 * h, expected, 0, h);
      System.arraycopy(all, 0, expected, h, h);
      System.arraycopy(all, 4 * h, expected, 3 * h, h);
      assertThat(gpu.doubles(out)).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void findsTheLargest(DType type) {
    for (int n : new int[] {1, 7, 8, 255, 257, 4096, 4097, 20_008}) {
      Tensor logits = gpu.normal(n, type, 2, n);
      double[] values = gpu.doubles(logits);
      long[] expected = new long[2];
      for (int i = 0; i < 2 * n; i++) {
        int row = i / n;
        expected[row] = values[i] > values[row * n + (int) expected[row]] ? i % n : expected[row];
      }
      assertThat(largest(logits)).as("of %s", n).isEqualTo(expected);
    }
  }

  private long[] largest(Tensor logits) {
    long parts = CudaRowOperators.argmaxParts(logits.size(1));
    Tensor scratch = gpu.allocate(DType.I64, logits.size(0), parts);
    Tensor out = gpu.allocate(DType.I32, logits.size(0));
    rows.argmax(logits, scratch, out);
    return gpu.down(out).toLongs();
  }

  @Test
  void takesTheFirstOfEqualsAndTellsOfNan() {
    float inf = Float.POSITIVE_INFINITY;
    float[] logits = new float[6 * 300];
    Arrays.fill(logits, -inf);
    logits[300 + 17] = -0f;
    logits[300 + 40] = 0f;
    logits[600 + 299] = -5;
    logits[900 + 250] = Float.NaN;
    logits[900] = inf;
    logits[1200 + 3] = inf;
    logits[1200 + 2] = 3e38f;
    logits[1500 + 1] = Float.intBitsToFloat(0xffc00000);
    assertThat(largest(gpu.up(Tensor.of(logits, 6, 300)))).containsExactly(0, 17, 299, -1, 3, -1);
  }

  @Test
  void doesNothingToNothing() {
    Tensor none = gpu.allocate(DType.BF16, 0, 8);
    Tensor weight = gpu.normal(1, DType.BF16, 8);
    rows.rmsNorm(none, weight, 0, none);
    rows.scaledSum(none, 1, none, 1, none);
    rows.siluGate(none, none, none);
    assertThat(gpu.doubles(none)).isEmpty();
  }

  @Test
  void refusesTensorsOfTheHostAndOverlaps() {
    Tensor x = gpu.normal(1, DType.F32, 2, 8);
    try (Tensor host = Tensor.allocate(DType.F32, 2, 8)) {
      assertThatThrownBy(() -> rows.siluGate(x, host, x))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("up: expected a tensor on cuda:0, as the stream is, got F32[2, 8]@cpu");
      assertThatThrownBy(() -> RowOperators.best().scaledSum(x, 1, x, 1, x))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("expected memory on cpu, got 64 bytes on cuda:0");
    }
    Tensor wide = gpu.normal(1, DType.F32, 3, 8);
    assertThatThrownBy(() -> rows.siluGate(wide.narrow(0, 0, 2), x, wide.narrow(0, 1, 2)))
        .hasMessageContaining("got an overlap");
    assertThatThrownBy(() -> rows.scaledSum(x, 1, gpu.normal(1, DType.BF16, 2, 8), 1, x))
        .hasMessageContaining("y: expected dtype F32, got BF16");
  }
}
