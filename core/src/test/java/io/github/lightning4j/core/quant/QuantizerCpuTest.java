package io.github.lightning4j.core.quant;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.internal.CoreKernels;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;

final class QuantizerCpuTest extends QuantizerContract {
  @BeforeEach
  void needsNativeLibrary() {
    Assumptions.assumeTrue(
        CoreKernels.library().availability().isAvailable(), CoreKernels.library().toString());
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }
}
