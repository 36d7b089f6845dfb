package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link Gemm} must do. */
abstract class GemmContract {
  abstract Gemm gemm();

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoublesOverAwkwardSizes(DType weights) {
    for (int m : new int[] {1, 2, 3, 4, 5, 16, 17, 33, 65}) {
      for (int n : new int[] {1, 2, 3, 7, 49, 65, 130}) {
        for (int k : Cases.AWKWARD) {
          check(m, n, k, weights);
        }
      }
    }
    check(300, 70, 257, weights);
    noColumnsGiveZeros(weights);
  }

  private void noColumnsGiveZeros(DType weights) {
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {1, 20}) {
        Tensor out = scope.add(Cases.normal(1, DType.F32, m, 70));
        gemm().multiply(scope.allocate(DType.F32, m, 0), scope.allocate(weights, 70, 0), out);
        assertThat(out.toFloats()).containsOnly(0f);
      }
    }
  }

  private void check(int m, int n, int k, DType weights) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.add(Cases.normal(m, DType.F32, m, k));
      Tensor w = scope.add(Cases.normal(n + 100, weights, n, k));
      Tensor out = scope.allocate(DType.F32, m, n);
      gemm().multiply(a, w, out);
      Closeness.assertNmse(
          weights + " " + m + "x" + n + "x" + k, out.toDoubles(), product(a, w), 1e-10, k);
    }
  }

  static double[] product(Tensor a, Tensor w) {
    double[] left = a.toDoubles();
    double[] right = w.toDoubles();
    int m = (int) a.size(0);
    int n = (int) w.size(0);
    int k = (int) a.size(1);
    double[] out = new double[m * n];
    for (int i = 0; i < m; i++) {
      for (int j = 0; j < n; j++) {
        for (int l = 0; l < k; l++) {
          out[i * n + j] += left[i * k + l] * right[j * k + l];
        }
      }
    }
    return out;
  }

  @Test
  void takesRowStrides() {
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {3, 40}) {
        Tensor a = scope.add(Cases.normal(1, DType.F32, m, 80)).narrow(1, 5, 33);
        Tensor w = scope.add(Cases.normal(2, DType.BF16, 50, 90)).narrow(1, 7, 33);
        Tensor out = scope.allocate(DType.F32, m, 70).narrow(1, 10, 50);
        gemm().multiply(a, w, out);
        Closeness.assertNmse("strided", out.toDoubles(), product(a, w), 1e-10);
      }
    }
  }

  @Test
  void severalWeightsGiveWhatEachGivesAlone() {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {1, 5, 40}) {
        Tensor a = scope.add(Cases.normal(m, DType.F32, m, 600));
        List<Tensor> w = new ArrayList<>();
        List<Tensor> out = new ArrayList<>();
        for (int n : new int[] {49, 1, 300, 96}) {
          w.add(scope.add(Cases.normal(n, DType.BF16, n, 600)));
          out.add(scope.allocate(DType.F32, m, n));
        }
        for (int threads : new int[] {1, 4}) {
          Threads.use(threads);
          out.forEach(one -> one.copyFrom(scope.allocate(DType.F32, one.shape())));
          gemm().multiplyAll(a, w, out);
          for (int i = 0; i < w.size(); i++) {
            Tensor alone = scope.allocate(DType.F32, out.get(i).shape());
            gemm().multiply(a, w.get(i), alone);
            assertThat(Arrays.equals(out.get(i).toFloats(), alone.toFloats()))
                .as("%s rows, product %s", m, i)
                .isTrue();
          }
        }
        assertThatThrownBy(() -> gemm().multiplyAll(a, w, out.subList(0, 3)))
            .hasMessage("out: expected one for each of 4 weights, got 3");
        assertThatThrownBy(
                () ->
                    gemm()
                        .multiplyAll(
                            a, List.of(w.get(0), w.get(0)), List.of(out.get(0), out.get(0))))
            .hasMessage("out[1]: must not overlap out[0]");
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {1, 64}) {
        Tensor a = scope.add(Cases.normal(3, DType.F32, m, 256));
        Tensor w = scope.add(Cases.normal(4, DType.BF16, 1000, 256));
        Tensor one = scope.allocate(DType.F32, m, 1000);
        Tensor four = scope.allocate(DType.F32, m, 1000);
        Threads.use(1);
        gemm().multiply(a, w, one);
        Threads.use(4);
        gemm().multiply(a, w, four);
        assertThat(four.toFloats()).isEqualTo(one.toFloats());
      }
    } finally {
      Threads.use(before);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16"})
  void carriesNotANumberAndInfinity(DType weights) {
    for (int m : new int[] {4, 20}) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor a = scope.add(Cases.normal(5, DType.F32, m, 32));
        Tensor w = scope.add(Cases.normal(6, weights, 64, 32));
        a.accessor().set(3, Double.NaN);
        a.accessor().set(2 * 32 + 5, Double.NEGATIVE_INFINITY);
        w.accessor().set(2 * 32 + 9, Double.POSITIVE_INFINITY);
        Tensor out = scope.allocate(DType.F32, m, 64);
        gemm().multiply(a, w, out);
        float[] got = out.toFloats();
        assertThat(got[0]).isNaN();
        assertThat(got[64]).isFinite();
        assertThat(Float.isFinite(got[64 + 2])).isFalse();
        assertThat(got[128]).isInfinite();
        assertThat(got[192]).isFinite();
      }
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.add(Cases.normal(1, DType.F32, 20, 16));
      Tensor w = scope.add(Cases.normal(2, DType.BF16, 8, 16));
      Tensor out = scope.allocate(DType.F32, 20, 8);
      FlatMemory.assertFlat("gemm", 10_000, () -> gemm().multiply(a, w, out));
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.allocate(DType.F32, 2, 8);
      Tensor w = scope.allocate(DType.F32, 4, 8);
      Tensor out = scope.allocate(DType.F32, 2, 4);
      assertThatThrownBy(() -> gemm().multiply(a, w.narrow(1, 0, 7), out))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("w: expected shape [4, 8], got [4, 7]");
      assertThatThrownBy(() -> gemm().multiply(scope.allocate(DType.F64, 2, 8), w, out))
          .hasMessage("a: expected dtype F32, got F64");
      assertThatThrownBy(() -> gemm().multiply(a, w, a.narrow(1, 0, 4)))
          .hasMessageContaining("overlap");
      Tensor closed = Tensor.allocate(DType.F32, 2, 8);
      closed.close();
      assertThatThrownBy(() -> gemm().multiply(closed, w, out))
          .isInstanceOf(IllegalStateException.class);
    }
  }
}
