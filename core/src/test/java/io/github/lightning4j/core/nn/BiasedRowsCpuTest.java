package io.github.lightning4j.core.nn;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.internal.CoreKernels;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;

final class BiasedRowsCpuTest extends BiasedRowsContract {
  @BeforeEach
  void needsNativeLibrary() {
    Assumptions.assumeTrue(
        CoreKernels.library().availability().isAvailable(), CoreKernels.library().toString());
  }

  @Override
  BiasedRows rows() {
    return BiasedRows.of(Backend.CPU);
  }
}
