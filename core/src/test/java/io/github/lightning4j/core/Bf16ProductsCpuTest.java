package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.kernel.Bf16Products;
import io.github.lightning4j.core.kernel.Isa;
import io.github.lightning4j.core.testkit.Cases;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class Bf16ProductsCpuTest {
  @AfterEach
  void forget() {
    System.clearProperty(Bf16Products.PROPERTY);
  }

  @Test
  void areThreePartsUnlessAskedOtherwise() {
    assertThat(Bf16Products.chosen()).isEqualTo(Bf16Products.BF16X3);
    System.setProperty(Bf16Products.PROPERTY, "bf16");
    assertThat(Bf16Products.chosen()).isEqualTo(Bf16Products.BF16);
    System.setProperty(Bf16Products.PROPERTY, "fp8");
    assertThatThrownBy(Bf16Products::chosen)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "lightning4j.cpu.bf16_products: expected one of [bf16, bf16x2, bf16x3], got fp8");
  }

  /** On tiles an error within 1e-3 to 1 times the worst; elsewhere that of fp32. */
  @ParameterizedTest
  @EnumSource
  void areAsExactAsTheyHaveParts(Bf16Products products) {
    Assumptions.assumeTrue(Gemm.availability().isAvailable(), "no native library");
    System.setProperty(Bf16Products.PROPERTY, products.name());
    try (MemoryScope scope = new MemoryScope()) {
      Tensor a = scope.add(Cases.normal(1, DType.F32, 40, 300));
      Tensor w = scope.add(Cases.normal(2, DType.BF16, 70, 300));
      Tensor out = scope.allocate(DType.F32, 40, 70);
      Gemm.best().multiply(a, w, out);
      double[] truth = GemmContract.product(a, w);
      double error = 0;
      double norm = Arrays.stream(truth).map(x -> x * x).sum();
      for (int i = 0; i < truth.length; i++) {
        error += Math.pow(out.toDoubles()[i] - truth[i], 2);
      }
      boolean tiles = CoreKernels.library().isa() == Isa.AMX;
      double worst = Math.pow(2, -18 * (tiles ? products.parts() : 3));
      assertThat(error / norm).isLessThan(Math.max(worst, 1e-12));
      if (tiles && products != Bf16Products.BF16X3) {
        assertThat(error / norm).isGreaterThan(worst / 1000);
      }
    }
  }
}
