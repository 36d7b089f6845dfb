package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gradients;
import java.util.Arrays;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The reference's gradients against finite differences, all in double. */
final class GatedRmsNormGradientsTest {
  private static final GatedRmsNorm NORM = GatedRmsNorm.of(Backend.REFERENCE);

  /** Where x, gate and weight lie in the flat vector of all of them. */
  private record Point(MemoryScope scope, double[] all, int rows, int n, boolean gated, float eps) {
    Tensor x() {
      return part(0, rows, n);
    }

    @Nullable Tensor gate() {
      return gated ? part(rows * n, rows, n) : null;
    }

    Tensor weight() {
      return part(2 * rows * n, n);
    }

    private Tensor part(int from, long... shape) {
      int size = (int) Arrays.stream(shape).reduce(1, (a, b) -> a * b);
      return scope.add(Tensor.of(Arrays.copyOfRange(all, from, from + size), shape));
    }
  }

  @ParameterizedTest
  @CsvSource({"3, 7, true, 1e-6", "3, 7, false, 1e-6", "20, 2, true, 0.5", "2, 1, true, 0.3"})
  void agreeWithFiniteDifferences(int rows, int n, boolean gated, float eps) {
    try (MemoryScope scope = new MemoryScope()) {
      double[] all = scope.add(Cases.normal(1, DType.F64, (2L * rows + 1) * n)).toDoubles();
      Point at = new Point(scope, all, rows, n, gated, eps);
      Tensor dOut = scope.add(Cases.normal(2, DType.F64, rows, n));
      Tensor dx = scope.allocate(DType.F64, rows, n);
      Tensor dGate = scope.allocate(DType.F64, rows, n);
      Tensor dWeight = scope.allocate(DType.F64, n);
      NORM.backward(at.x(), at.gate(), at.weight(), eps, dOut, dx, gated ? dGate : null, dWeight);
      double[] gradient =
          Stream.of(dx, dGate, dWeight)
              .map(Tensor::toDoubles)
              .flatMapToDouble(Arrays::stream)
              .toArray();
      Gradients.assertMatches(
          "norm", moved -> loss(moved, rows, n, gated, eps, dOut), all, gradient, 500, 1e-6);
    }
  }

  /** {@code sum(out * dOut)}. */
  private static double loss(double[] all, int rows, int n, boolean gated, float eps, Tensor dOut) {
    try (MemoryScope scope = new MemoryScope()) {
      Point at = new Point(scope, all, rows, n, gated, eps);
      Tensor out = scope.allocate(DType.F64, rows, n);
      NORM.apply(at.x(), at.gate(), at.weight(), eps, out);
      double[] values = out.toDoubles();
      double[] slopes = dOut.toDoubles();
      double sum = 0;
      for (int i = 0; i < values.length; i++) {
        sum += values[i] * slopes[i];
      }
      return sum;
    }
  }
}
