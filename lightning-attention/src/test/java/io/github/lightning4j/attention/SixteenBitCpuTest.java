package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class SixteenBitCpuTest extends SixteenBitContract {
  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @Override
  boolean prefillsOnTiles() {
    return NativeKernels.prefillOnTiles();
  }

  @Override
  LightningAttention attention() {
    return LightningAttention.of(Backend.CPU);
  }
}
