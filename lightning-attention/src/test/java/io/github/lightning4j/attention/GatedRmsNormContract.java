package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What every implementation of {@link GatedRmsNorm#apply} must do. */
abstract class GatedRmsNormContract {
  abstract GatedRmsNorm norm();

  static List<NormTypes> mixes() {
    return NormTypes.mixes();
  }

  @ParameterizedTest
  @MethodSource("mixes")
  void agreesWithTheFormulaOverAwkwardSizes(NormTypes types) {
    for (int n : NormTypes.sizes()) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(n, types.x(), 3, n + 5)).narrow(1, 2, n);
        Tensor gate = scope.add(Cases.normal(n + 1, types.gate(), 3, n + 9)).narrow(1, 7, n);
        Tensor weight = scope.add(Cases.normal(n + 2, types.weight(), n));
        Tensor wide = scope.allocate(types.out(), 3, n + 2);
        Tensor out = wide.narrow(1, 1, n);
        norm().apply(x, gate, weight, 1e-6f, out);
        assertClose("gated " + n, out, x, gate, weight, 1e-6f);
        norm().apply(x, null, weight, 0.5f, out);
        assertClose("plain " + n, out, x, null, weight, 0.5f);
        assertThat(wide.narrow(1, 0, 1).toFloats()).containsOnly(0);
        assertThat(wide.narrow(1, n + 1, 1).toFloats()).containsOnly(0);
      }
    }
  }

  private static void assertClose(
      String what, Tensor out, Tensor x, Tensor gate, Tensor weight, float eps) {
    NormTypes.assertClose(
        what,
        out.dtype(),
        out.toDoubles(),
        NormTypes.naive(out.dtype()).out(x, gate, weight, eps),
        NormFormula.exact().out(x, gate, weight, eps),
        0);
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void worksInPlace(DType type) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor weight = scope.add(Cases.normal(3, DType.F32, 50));
      Tensor x = scope.add(Cases.normal(1, type, 4, 50));
      Tensor gate = scope.add(Cases.normal(2, type, 4, 50));
      Tensor apart = scope.allocate(type, 4, 50);
      norm().apply(x, gate, weight, 1e-6f, apart);
      Tensor copy = scope.allocate(type, 4, 50);
      copy.copyFrom(gate);
      norm().apply(x, copy, weight, 1e-6f, copy);
      assertThat(copy.toFloats()).as("over gate").isEqualTo(apart.toFloats());
      norm().apply(x, gate, weight, 1e-6f, x);
      assertThat(x.toFloats()).as("over x").isEqualTo(apart.toFloats());
    }
  }

  @Test
  void takesColumnsOfOneFusedProjection() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor fused = scope.add(Cases.normal(1, DType.BF16, 5, 60));
      Tensor weight = scope.add(Cases.normal(2, DType.BF16, 20));
      Tensor x = fused.narrow(1, 0, 20);
      Tensor gate = fused.narrow(1, 20, 20);
      Tensor apart = scope.allocate(DType.BF16, 5, 20);
      norm().apply(x, gate, weight, 1e-6f, apart);
      norm().apply(x, gate, weight, 1e-6f, fused.narrow(1, 40, 20));
      assertThat(fused.narrow(1, 40, 20).toFloats()).isEqualTo(apart.toFloats());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void givesTheSameBitsForAnyNumberOfThreads(DType type) {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, type, 70, 1000));
      Tensor weight = scope.add(Cases.normal(2, DType.BF16, 1000));
      Tensor one = scope.allocate(type, 70, 1000);
      Tensor four = scope.allocate(type, 70, 1000);
      Threads.use(1);
      norm().apply(x, x, weight, 1e-5f, one);
      Threads.use(4);
      norm().apply(x, x, weight, 1e-5f, four);
      assertThat(four.toFloats()).isEqualTo(one.toFloats());
    } finally {
      Threads.use(before);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void keepsNotANumberInItsRow(DType type) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, type, 2, 20));
      Tensor weight = scope.add(Cases.normal(2, DType.F32, 20));
      x.accessor().set(3, Double.NaN);
      Tensor out = scope.allocate(type, 2, 20);
      norm().apply(x, null, weight, 1e-5f, out);
      assertThat(out.select(0, 0).toFloats()).containsOnly(Float.NaN);
      for (float value : out.select(0, 1).toFloats()) {
        assertThat(value).isFinite();
      }
    }
  }

  @Test
  void keepsNotANumberOfTheGateInItsElementAndTakesInfiniteGates() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Tensor.of(new float[] {1, 1, 1, -1}, 1, 4));
      float[] gates = {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, 0};
      Tensor gate = scope.add(Tensor.of(gates, 1, 4));
      Tensor weight = scope.add(Tensor.of(new float[] {1, 1, 1, 3}, 4));
      norm().apply(x, gate, weight, 0, x);
      assertThat(x.toFloats()).containsExactly(Float.NaN, 1, 0, -1.5f);
    }
  }

  @Test
  void roundsOnceToNearestEven() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Tensor.of(new float[] {1, -1, 1}, 1, 3));
      // Between 1 and 1 + 2^-7 of bf16: a tie to the even 1, just above it, and below -1.
      float[] weights = {1 + 0x1p-8f, 1 + 0x1p-8f + 0x1p-20f, 1 + 3 * 0x1p-8f};
      Tensor weight = scope.add(Tensor.of(weights, 3));
      Tensor narrow = scope.allocate(DType.BF16, 1, 3);
      Tensor wide = scope.allocate(DType.F32, 1, 3);
      narrow.copyFrom(x);
      norm().apply(narrow, null, weight, 0, wide);
      assertThat(wide.toFloats()).containsExactly(weights[0], -weights[1], weights[2]);
      norm().apply(narrow, null, weight, 0, narrow);
      assertThat(narrow.toFloats()).containsExactly(1, -1 - 0x1p-7f, 1 + 2 * 0x1p-7f);
    }
  }

  @Test
  void takesRowsOfTheRangeItStates() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor weight = scope.add(Cases.normal(2, DType.F32, 300));
      Tensor out = scope.allocate(DType.F32, 1, 300);
      for (double size : new double[] {1e-18, 1e15}) {
        Tensor x = scope.add(Cases.normal(1, DType.F32, 1, 300));
        for (int i = 0; i < 300; i++) {
          x.accessor().set(i, x.accessor().get(i) * size);
        }
        norm().apply(x, null, weight, 0, out);
        Closeness.assertNmse(
            "size " + size, out.toDoubles(), NormFormula.exact().out(x, null, weight, 0), 1e-10);
      }
    }
  }

  @Test
  void takesNoRows() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor none = scope.allocate(DType.F16, 0, 8);
      norm().apply(none, none, scope.allocate(DType.F16, 8), 0, none);
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
}
