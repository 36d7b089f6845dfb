package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class SharedExpertCpuTest extends SharedExpertContract {
  @BeforeEach
  void needsNativeLibrary() {
    Native.assume();
  }

  @Override
  SharedExpert sharedExpert() {
    return SharedExpert.of(Backend.CPU);
  }
}
