package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class RouterCpuTest extends RouterContract {
  @BeforeEach
  void needsNativeLibrary() {
    Native.assume();
  }

  @Override
  Router router() {
    return Router.of(Backend.CPU);
  }
}
