package io.github.lightning4j.core;

import io.github.lightning4j.core.internal.CoreKernels;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;

final class QuantizedGemmCpuTest extends QuantizedGemmContract {
  @BeforeEach
  void needsNativeLibrary() {
    Assumptions.assumeTrue(
        CoreKernels.library().availability().isAvailable(), CoreKernels.library().toString());
  }

  @Override
  Gemm gemm() {
    return Gemm.of(Backend.CPU);
  }

  @Override
  boolean rounds() {
    return true;
  }
}
