package io.github.lightning4j.moe;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class RouterOptionsCpuTest extends RouterOptionsContract {
  @BeforeEach
  void needsNativeLibrary() {
    Native.assume();
  }

  @Override
  Router router() {
    return Router.of(Backend.CPU);
  }
}
