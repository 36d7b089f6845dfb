package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link BiasedRows} must do. */
abstract class BiasedRowsContract {
  abstract BiasedRows rows();

  private static double[] normed(Tensor x, Tensor weight, Tensor bias, double eps) {
    double[] in = x.toDoubles();
    double[] w = weight.toDoubles();
    double[] b = bias.toDoubles();
    double[] out = new double[in.length];
    for (int start = 0; start < in.length; start += w.length) {
      double[] row = Arrays.copyOfRange(in, start, start + w.length);
      double mean = Arrays.stream(row).average().orElseThrow();
      double variance =
          Arrays.stream(row).map(v -> (v - mean) * (v - mean)).average().orElseThrow();
      for (int i = 0; i < w.length; i++) {
        out[start + i] = w[i] * (row[i] - mean) / Math.sqrt(variance + eps) + b[i];
      }
    }
    return out;
  }

  /** By Simpson's rule over the density of the normal distribution. */
  private static double gelu(double x) {
    int steps = 2000;
    double width = x / steps;
    double sum = 0;
    for (int i = 0; i <= steps; i++) {
      double t = i * width;
      double factor = i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2;
      sum += factor * Math.exp(-t * t / 2);
    }
    return x * (0.5 + sum * width / 3 / Math.sqrt(2 * Math.PI));
  }

  private static double activated(Activation activation, double x) {
    return switch (activation) {
      case NONE -> x;
      case GELU -> gelu(x);
      case QUICK_GELU -> x / (1 + Math.exp(-1.702 * x));
    };
  }

  @Test
  void normsAwkwardSizes() {
    for (int t : new int[] {1, 3, 33}) {
      for (int h : Cases.AWKWARD) {
        try (MemoryScope scope = new MemoryScope()) {
          Tensor x = scope.add(Cases.normal(t, DType.F32, t, h));
          Tensor weight = scope.add(Cases.normal(h, DType.F32, h));
          Tensor bias = scope.add(Cases.normal(h + 1, DType.F32, h));
          Tensor out = scope.allocate(DType.F32, t, h);
          double[] expected = normed(x, weight, bias, 1e-5);
          rows().layerNorm(x, weight, bias, 1e-5f, out);
          Closeness.assertNmse(t + "x" + h, out.toDoubles(), expected, 1e-12);
          rows().layerNorm(x, weight, bias, 1e-5f, x);
          assertThat(x.toFloats()).isEqualTo(out.toFloats());
        }
      }
    }
  }

  @Test
  void aLargeMeanDoesNotDrownTheVariance() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 2, 300));
      for (int i = 0; i < 600; i++) {
        x.accessor().set(i, x.accessor().get(i) + 100);
      }
      Tensor weight = scope.add(Cases.normal(2, DType.F32, 300));
      Tensor bias = scope.add(Cases.normal(3, DType.F32, 300));
      double[] expected = normed(x, weight, bias, 0);
      rows().layerNorm(x, weight, bias, 0, x);
      Closeness.assertNmse("shifted", x.toDoubles(), expected, 1e-10);
    }
  }

  @ParameterizedTest
  @EnumSource
  void addsBiasAndActivatesAwkwardSizes(Activation activation) {
    for (int h : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(h, DType.F32, 3, h));
        Tensor bias = scope.add(Cases.normal(h + 1, DType.F32, h));
        Tensor wide = scope.allocate(DType.F32, 3, h + 5);
        Tensor out = wide.narrow(1, 2, h);
        double[] expected = x.toDoubles();
        double[] b = bias.toDoubles();
        for (int i = 0; i < expected.length; i++) {
          expected[i] = activated(activation, expected[i] + b[i % h]);
        }
        rows().addBias(x, bias, activation, out);
        Closeness.assertNmse(activation + " " + h, out.toDoubles(), expected, 1e-12);
        assertThat(wide.narrow(1, 0, 2).toFloats()).containsOnly(0);
        assertThat(wide.narrow(1, h + 2, 3).toFloats()).containsOnly(0);
        rows().addBias(x, bias, activation, x);
        assertThat(x.toFloats()).isEqualTo(out.toFloats());
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void activatesFromTailToTail(Activation activation) {
    int count = 4001;
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, 1, count);
      Tensor bias = scope.allocate(DType.F32, count);
      for (int i = 0; i < count; i++) {
        x.accessor().set(i, (i - count / 2) * 0.005);
      }
      Tensor out = scope.allocate(DType.F32, 1, count);
      rows().addBias(x, bias, activation, out);
      for (int i = 0; i < count; i++) {
        double at = x.accessor().get(i);
        assertThat(out.accessor().get(i))
            .as("%s(%s)", activation, at)
            .isCloseTo(activated(activation, at), within(1e-6));
      }
      x.accessor().set(0, -1e6);
      x.accessor().set(1, 1e6);
      rows().addBias(x, bias, activation, out);
      assertThat(out.accessor().get(0)).isEqualTo(activation == Activation.NONE ? -1e6 : -0.0);
      assertThat(out.accessor().get(1)).isEqualTo(1e6);
    }
  }

  @ParameterizedTest
  @EnumSource
  void keepsNotANumber(Activation activation) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 2, 20));
      Tensor vector = scope.add(Cases.normal(2, DType.F32, 20));
      x.accessor().set(3, Double.NaN);
      Tensor out = scope.allocate(DType.F32, 2, 20);
      rows().addBias(x, vector, activation, out);
      for (int i = 0; i < 40; i++) {
        assertThat(Double.isNaN(out.accessor().get(i))).as("element %s", i).isEqualTo(i == 3);
      }
      rows().layerNorm(x, vector, vector, 1e-5f, out);
      for (int i = 0; i < 40; i++) {
        assertThat(Double.isNaN(out.accessor().get(i))).as("element %s", i).isEqualTo(i < 20);
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
    Tensor x = scope.add(Cases.normal(1, DType.F32, 129, 513));
    Tensor vector = scope.add(Cases.normal(2, DType.F32, 513));
    rows().addBias(x, vector, Activation.GELU, x);
    rows().layerNorm(x, vector, vector, 1e-5f, x);
    rows().addBias(x, vector, Activation.QUICK_GELU, x);
    return x.toFloats();
  }

  @Test
  void takesNoRowsAndLeavesMemoryFlat() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor none = scope.allocate(DType.F32, 0, 8);
      Tensor x = scope.allocate(DType.F32, 3, 8);
      Tensor vector = scope.allocate(DType.F32, 8);
      rows().layerNorm(none, vector, vector, 0, none);
      rows().addBias(none, vector, Activation.GELU, none);
      FlatMemory.assertFlat(
          "norm and bias",
          10_000,
          () -> {
            rows().layerNorm(x, vector, vector, 1e-5f, x);
            rows().addBias(x, vector, Activation.GELU, x);
          });
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor memory = scope.allocate(DType.F32, 6, 8);
      Tensor x = memory.narrow(0, 0, 4);
      Tensor out = scope.allocate(DType.F32, 4, 8);
      Tensor vector = scope.allocate(DType.F32, 8);
      refuses(
          () -> rows().layerNorm(x, vector.narrow(0, 0, 7), vector, 0, out),
          "weight: expected shape [8], got [7]");
      refuses(
          () -> rows().layerNorm(x, vector, scope.allocate(DType.BF16, 8), 0, out),
          "bias: expected dtype F32, got BF16");
      refuses(() -> rows().layerNorm(x, vector, vector, -1, out), "eps: expected >= 0, got -1.0");
      refuses(
          () -> rows().addBias(x, vector, Activation.NONE, out.narrow(0, 0, 3)),
          "out: expected shape [4, 8], got [3, 8]");
      refuses(
          () -> rows().addBias(x, vector, Activation.NONE, memory.narrow(0, 1, 4)),
          "out: expected x itself or memory apart from it, got an overlap");
      refuses(
          () -> rows().addBias(x, memory.select(0, 1), Activation.NONE, x),
          "out: must not overlap bias");
    }
  }

  private static void refuses(Runnable call, String message) {
    assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }
}
