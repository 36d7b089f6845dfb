package io.github.lightning4j.core.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.kernel.Isa;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.testkit.Cases;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Sums within a block are exact integers and what follows has one order, so products are the same
 * bits on every instruction set; with few rows on all whose vectors are as wide.
 */
final class QuantizedSetsCpuTest {
  private Isa best;

  @BeforeEach
  void needsMoreThanOneSet() {
    best = CoreKernels.library().isa();
    Assumptions.assumeTrue(best != null && best.code() > Isa.AVX2.code(), "one set only");
  }

  @AfterEach
  void useTheBest() {
    CoreKernels.initialize(best.code());
  }

  static List<QuantFormat> formats() {
    return List.of(
        QuantFormat.int8(32),
        QuantFormat.int8(64),
        QuantFormat.int8(128),
        QuantFormat.int4(32),
        QuantFormat.int4(64),
        QuantFormat.int4(128));
  }

  private static float[] product(Isa isa, Tensor a, QuantizedMatrix w) {
    CoreKernels.initialize(isa.code());
    try (Tensor out = Tensor.allocate(DType.F32, a.size(0), w.rows())) {
      Gemm.of(Backend.CPU).multiply(a, w, out);
      return out.toFloats();
    }
  }

  private void check(Tensor a, QuantizedMatrix w, Isa first) {
    float[] expected = product(first, a, w);
    for (Isa isa : Isa.values()) {
      if (isa.code() > first.code() && isa.code() <= best.code()) {
        assertThat(product(isa, a, w))
            .as("%s: %s x %s x %s, %s", isa, a.size(0), w.rows(), w.columns(), w.format())
            .isEqualTo(expected);
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void givesTheSameBits(QuantFormat format) {
    try (MemoryScope scope = new MemoryScope()) {
      for (int k : new int[] {1, 33, 95, 129, 224, 1100}) {
        for (int n : new int[] {1, 17, 49, 77}) {
          Tensor plain = scope.add(Cases.normal(n, DType.BF16, n, k));
          QuantizedMatrix w = scope.add(QuantizedMatrix.quantize(plain, format));
          for (int m : new int[] {17, 33, 70}) {
            check(scope.add(Cases.normal(m, DType.F32, m, k)), w, Isa.AVX2);
          }
          for (int m : new int[] {1, 2, 7}) {
            check(scope.add(Cases.normal(m, DType.F32, m, k)), w, Isa.AVX512);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void holdsTheLargestSums(QuantFormat format) {
    try (MemoryScope scope = new MemoryScope()) {
      for (int m : new int[] {1, 20}) {
        Tensor a = scope.allocate(DType.F32, m, 512);
        Tensor plain = scope.allocate(DType.F32, 3, 512);
        for (int i = 0; i < m * 512; i++) {
          a.accessor().set(i, i / 512 % 2 == 0 ? 1 : -1);
        }
        for (int i = 0; i < 3 * 512; i++) {
          plain.accessor().set(i, i / 512 % 2 == 0 ? 1 : -1);
        }
        QuantizedMatrix w = scope.add(QuantizedMatrix.quantize(plain, format));
        double one = w.row(0)[0];
        check(a, w, m == 1 ? Isa.AVX512 : Isa.AVX2);
        float[] out = product(best, a, w);
        for (int i = 0; i < out.length; i++) {
          double sign = (i / 3 + i % 3) % 2 == 0 ? 1 : -1;
          assertThat(out[i]).isCloseTo((float) (sign * 512 * one), within(1e-3f));
        }
      }
    }
  }
}
