package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link GatedRmsNorm} must do. */
abstract class GatedRmsNormContract {
  abstract GatedRmsNorm norm();

  private static double[] expected(Tensor x, @Nullable Tensor gate, Tensor weight, double eps) {
    double[][] rows = Problem.rows(x);
    double[] w = weight.toDoubles();
    for (int t = 0; t < rows.length; t++) {
      double squares = 0;
      for (double value : rows[t]) {
        squares += value * value;
      }
      double root = Math.sqrt(squares / w.length + eps);
      double[] g = gate == null ? new double[0] : gate.select(0, t).toDoubles();
      for (int i = 0; i < w.length; i++) {
        rows[t][i] *= w[i] / root / (gate == null ? 1 : 1 + Math.exp(-g[i]));
      }
    }
    return Problem.flat(rows);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoublesOverAwkwardSizes(DType weights) {
    for (int n : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(n, DType.F32, 3, n + 5)).narrow(1, 2, n);
        Tensor gate = scope.add(Cases.normal(n + 1, DType.F32, 3, n + 9)).narrow(1, 7, n);
        Tensor weight = scope.add(Cases.normal(n + 2, weights, n));
        Tensor out = scope.allocate(DType.F32, 3, n + 1).narrow(1, 1, n);
        norm().apply(x, gate, weight, 1e-6f, out);
        Closeness.assertNmse(
            "gated " + n, out.toDoubles(), expected(x, gate, weight, 1e-6f), 1e-10);
        norm().apply(x, null, weight, 0.5f, out);
        Closeness.assertNmse("plain " + n, out.toDoubles(), expected(x, null, weight, 0.5), 1e-10);
      }
    }
  }

  @Test
  void worksInPlace() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor weight = scope.add(Cases.normal(3, DType.F32, 50));
      Tensor x = scope.add(Cases.normal(1, DType.F32, 4, 50));
      Tensor gate = scope.add(Cases.normal(2, DType.F32, 4, 50));
      double[] expected = expected(x, gate, weight, 1e-6);
      Tensor out = scope.allocate(DType.F32, 4, 50);
      out.copyFrom(gate);
      norm().apply(x, out, weight, 1e-6f, out);
      Closeness.assertNmse("in place of gate", out.toDoubles(), expected, 1e-10);
      norm().apply(x, gate, weight, 1e-6f, x);
      Closeness.assertNmse("in place of x", x.toDoubles(), expected, 1e-10);
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 70, 1000));
      Tensor weight = scope.add(Cases.normal(2, DType.BF16, 1000));
      Tensor one = scope.allocate(DType.F32, 70, 1000);
      Tensor four = scope.allocate(DType.F32, 70, 1000);
      Threads.use(1);
      norm().apply(x, x, weight, 1e-5f, one);
      Threads.use(4);
      norm().apply(x, x, weight, 1e-5f, four);
      assertThat(four.toFloats()).isEqualTo(one.toFloats());
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void keepsNotANumberInItsRow() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 2, 20));
      Tensor weight = scope.add(Cases.normal(2, DType.F32, 20));
      x.accessor().set(3, Double.NaN);
      Tensor out = scope.allocate(DType.F32, 2, 20);
      norm().apply(x, null, weight, 1e-5f, out);
      assertThat(out.select(0, 0).toFloats()).containsOnly(Float.NaN);
      for (float value : out.select(0, 1).toFloats()) {
        assertThat(value).isFinite();
      }
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 2, 20));
      Tensor weight = scope.add(Cases.normal(2, DType.F32, 20));
      Tensor out = scope.allocate(DType.F32, 2, 20);
      FlatMemory.assertFlat("norm", 10_000, () -> norm().apply(x, x, weight, 1e-5f, out));
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, 4, 8);
      Tensor w = scope.allocate(DType.F32, 8);
      Tensor out = scope.allocate(DType.F32, 4, 8);
      refused(x, null, scope.allocate(DType.F32, 7), 0, out, "weight: expected shape [8], got [7]");
      refused(x, null, scope.allocate(DType.F64, 8), 0, out, "weight: expected dtype in");
      refused(x, x.narrow(0, 0, 3), w, 0, out, "gate: expected shape [4, 8], got [3, 8]");
      refused(x, null, w, -1, out, "eps: expected >= 0, got -1");
      refused(x, null, w, Float.NaN, out, "eps: expected >= 0, got NaN");
      refused(x, null, w, 0, x.narrow(1, 0, 7), "out: expected shape [4, 8], got [4, 7]");
      refused(x, null, x.select(0, 1), 0, x, "out: must not overlap weight");
      Tensor shifted = scope.allocate(DType.F32, 5, 8);
      Tensor first = shifted.narrow(0, 0, 4);
      Tensor second = shifted.narrow(0, 1, 4);
      refused(first, null, w, 0, second, "out: must be x itself or not overlap it");
      refused(x, first, w, 0, second, "out: must be gate itself or not overlap it");
      Tensor closed = Tensor.allocate(DType.F32, 4, 8);
      closed.close();
      assertThatThrownBy(() -> norm().apply(closed, null, w, 0, out))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  private void refused(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, String message) {
    assertThatThrownBy(() -> norm().apply(x, gate, weight, eps, out))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }
}
