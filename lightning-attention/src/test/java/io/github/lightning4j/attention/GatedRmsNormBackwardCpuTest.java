package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import org.junit.jupiter.api.BeforeEach;

final class GatedRmsNormBackwardCpuTest extends GatedRmsNormBackwardContract {
  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @Override
  GatedRmsNorm norm() {
    return GatedRmsNorm.of(Backend.CPU);
  }
}
