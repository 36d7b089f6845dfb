package io.github.lightning4j.kvquant.transform;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.GoldenCase;
import org.junit.jupiter.api.Test;

/** What {@link Hadamard} must do, whichever kernels it runs. */
abstract class HadamardContract {
  abstract Backend backend();

  private Hadamard hadamard() {
    return Hadamard.of(backend());
  }

  private static int[] sizes() {
    return new int[] {
      1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 12, 24, 48, 96, 192, 384, 1536, 3072
    };
  }

  /** The definition: every element of the matrix, the sign by the parity of common bits. */
  private static double[] dense(double[] x, int n) {
    double[] y = new double[x.length];
    for (int first = 0; first < x.length; first += n) {
      for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
          y[first + i] += Integer.bitCount(i & j) % 2 == 0 ? x[first + j] : -x[first + j];
        }
        y[first + i] /= Math.sqrt(n);
      }
    }
    return y;
  }

  @Test
  void knownVector() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Tensor.of(new float[] {1, 2, 3, 4, -1, 0, 2, -3}, 1, 8));
      hadamard().apply(x, 8, x);
      double[] expected = {8, 2, -4, -6, 12, -6, -4, 6};
      for (int i = 0; i < 8; i++) {
        assertThat(x.toFloats()[i]).isCloseTo((float) (expected[i] / Math.sqrt(8)), within(1e-6f));
      }
      hadamard().apply(x, 8, x);
      assertThat(x.toFloats())
          .containsExactly(new float[] {1, 2, 3, 4, -1, 0, 2, -3}, within(1e-6f));
    }
  }

  @Test
  void isTheMatrixOfItsDefinition() {
    for (int n = 1; n <= 1024; n *= 2) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(n, DType.F32, 3, 2 * n));
        Tensor out = scope.allocate(DType.F32, 3, 2 * n);
        hadamard().apply(x, n, out);
        Closeness.assertNmse("n " + n, out.toDoubles(), dense(x.toDoubles(), n), 1e-12);
      }
    }
  }

  @Test
  void onesGatherInTheFirstChannel() {
    for (int n = 1; n <= 4096; n *= 2) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.allocate(DType.F32, 1, n);
        for (int i = 0; i < n; i++) {
          x.accessor().set(i, 1);
        }
        hadamard().apply(x, n, x);
        float[] y = x.toFloats();
        assertThat(y[0]).isCloseTo((float) Math.sqrt(n), within(1e-5f * n));
        for (int i = 1; i < n; i++) {
          assertThat(y[i]).isZero();
        }
      }
    }
  }

  @Test
  void isItsOwnInverseAndKeepsLengthsForEverySize() {
    for (int n : sizes()) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor x = scope.add(Cases.normal(n, DType.F32, 5, n));
        Tensor once = scope.allocate(DType.F32, 5, n);
        Tensor twice = scope.allocate(DType.F32, 5, n);
        hadamard().apply(x, n, once);
        hadamard().apply(once, n, twice);
        Closeness.assertNmse("twice, n " + n, twice, x, 1e-12);
        assertThat(squares(once)).isCloseTo(squares(x), within(1e-5 * squares(x)));
      }
    }
  }

  private static double squares(Tensor x) {
    double sum = 0;
    for (double value : x.toDoubles()) {
      sum += value * value;
    }
    return sum;
  }

  /** Columns of the matrix against numpy's. */
  @Test
  void ordersWithAFactorOfTwelveAreThoseOfTheFixture() {
    try (MemoryScope scope = new MemoryScope();
        GoldenCase golden = new GoldenCase(HadamardContract.class, "rotatekv")) {
      for (int n : new int[] {12, 24}) {
        Tensor identity = scope.allocate(DType.F32, n, n);
        for (int i = 0; i < n; i++) {
          identity.accessor().set((long) i * n + i, 1);
        }
        hadamard().apply(identity, n, identity);
        Closeness.assertWithin(
            "H " + n, identity.toDoubles(), golden.tensor("hadamard_" + n).toDoubles(), 1e-6);
      }
    }
  }

  @Test
  void isTheKroneckerProductForNinetySix() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(1, DType.F32, 12, 8));
      Tensor inner = scope.allocate(DType.F32, 12, 8);
      hadamard().apply(x, 8, inner);
      Tensor transposed = scope.allocate(DType.F32, 8, 12);
      transposed.copyFrom(inner.strided(0, new long[] {8, 12}, new long[] {1, 8}));
      hadamard().apply(transposed, 12, transposed);
      Tensor expected = scope.allocate(DType.F32, 12, 8);
      expected.copyFrom(transposed.strided(0, new long[] {12, 8}, new long[] {1, 12}));
      Tensor whole = x.reshape(1, 96);
      hadamard().apply(whole, 96, whole);
      Closeness.assertNmse("96", whole.toDoubles(), expected.toDoubles(), 1e-12);
    }
  }

  @Test
  void takesRowsWithGapsAndLeavesTheGapsAlone() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor wide = scope.add(Cases.normal(3, DType.F32, 7, 200));
      float[] before = wide.toFloats();
      Tensor x = wide.narrow(1, 5, 128);
      Tensor apart = scope.allocate(DType.F32, 7, 128);
      hadamard().apply(x, 64, apart);
      hadamard().apply(x, 64, x);
      assertThat(x.toFloats()).isEqualTo(apart.toFloats());
      float[] after = wide.toFloats();
      for (int i = 0; i < after.length; i++) {
        if (i % 200 < 5 || i % 200 >= 133) {
          assertThat(after[i]).isEqualTo(before[i]);
        }
      }
    }
  }

  @Test
  void threadsDoNotMatter() {
    int threads = Threads.count();
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(3, DType.F32, 301, 512));
      Tensor one = scope.allocate(DType.F32, 301, 512);
      Tensor many = scope.allocate(DType.F32, 301, 512);
      Threads.use(1);
      hadamard().apply(x, 512, one);
      Threads.use(4);
      hadamard().apply(x, 512, many);
      assertThat(many.toFloats()).isEqualTo(one.toFloats());
    } finally {
      Threads.use(threads);
    }
  }

  @Test
  void nanStaysInItsBlock() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(3, DType.F32, 2, 64));
      x.accessor().set(20, Double.NaN);
      hadamard().apply(x, 32, x);
      float[] y = x.toFloats();
      for (int i = 0; i < 128; i++) {
        assertThat(Float.isNaN(y[i])).isEqualTo(i < 32);
      }
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.add(Cases.normal(3, DType.F32, 2, 512));
      FlatMemory.assertFlat("hadamard", 1_000, () -> hadamard().apply(x, 512, x));
    }
  }
}
