package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.core.kernel.Isa;
import org.junit.jupiter.api.Assumptions;

/** Skips tests of native kernels where there is no library, saying why. */
final class NativeKernels {
  private NativeKernels() {}

  static void assume() {
    Assumptions.assumeTrue(
        AttentionKernels.library().availability().isAvailable(),
        AttentionKernels.library().toString());
  }

  /** Whether BF16 inputs take the prefill on tiles, which rounds more than the other kernels. */
  static boolean prefillOnTiles() {
    return AttentionKernels.library().isa() == Isa.AMX;
  }
}
