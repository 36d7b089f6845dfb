package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class LightningBf16CpuTest extends LightningBf16Contract {
  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @Override
  LightningAttention attention() {
    return LightningAttention.of(Backend.CPU);
  }
}
