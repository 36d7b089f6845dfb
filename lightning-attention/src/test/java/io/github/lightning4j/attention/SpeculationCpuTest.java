package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class SpeculationCpuTest extends SpeculationContract {
  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }
}
