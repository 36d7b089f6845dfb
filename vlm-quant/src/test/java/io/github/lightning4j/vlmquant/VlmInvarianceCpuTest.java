package io.github.lightning4j.vlmquant;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.kvquant.CacheAttention;
import org.junit.jupiter.api.BeforeAll;

final class VlmInvarianceCpuTest extends VlmInvarianceContract {
  @BeforeAll
  static void needsNativeLibrary() {
    assumeTrue(
        CacheAttention.availability().isAvailable(), CacheAttention.availability().toString());
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }
}
