package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class CapacityCpuTest extends CapacityContract {
  @BeforeEach
  void needsNativeLibrary() {
    Native.assume();
  }

  @Override
  MixtureOfExperts experts() {
    return MixtureOfExperts.of(Backend.CPU);
  }
}
