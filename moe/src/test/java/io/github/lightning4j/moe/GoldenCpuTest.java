package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class GoldenCpuTest extends GoldenContract {
  @BeforeEach
  void needsNativeLibrary() {
    Native.assume();
  }

  @Override
  Backend backend() {
    return Backend.CPU;
  }
}
