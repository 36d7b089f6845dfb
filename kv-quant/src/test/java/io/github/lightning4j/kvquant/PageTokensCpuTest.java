package io.github.lightning4j.kvquant;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import org.junit.jupiter.api.BeforeAll;

final class PageTokensCpuTest extends PageTokensContract {
  @BeforeAll
  static void needsNativeLibrary() {
    assumeTrue(
        KvQuantKernels.library().availability().isAvailable(), KvQuantKernels.library().toString());
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }
}
