package io.github.lightning4j.minimax;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Gemm;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;

final class VisionCpuTest extends VisionContract {
  @BeforeAll
  static void needsNativeLibraries() {
    Assumptions.assumeTrue(Gemm.availability().isAvailable(), Gemm.availability().toString());
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }
}
