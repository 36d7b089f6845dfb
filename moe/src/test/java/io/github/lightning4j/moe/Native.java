package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.kernel.NativeLibrary;
import io.github.lightning4j.moe.internal.MoeLibrary;
import org.junit.jupiter.api.Assumptions;

/** The condition of tests of native kernels. */
final class Native {
  private static final String FILE =
      "/io/github/lightning4j/moe/internal/linux-x86_64/libjnimoe.so";

  private Native() {}

  /** Skips where no library was built or it is not wanted; one that was built must load. */
  static void assume() {
    Assumptions.assumeTrue(
        Native.class.getResource(FILE) != null
            && !Boolean.getBoolean(NativeLibrary.REFERENCE_PROPERTY),
        "no native library was built");
    assertThat(MoeLibrary.get().availability().isAvailable())
        .as(MoeLibrary.get().toString())
        .isTrue();
  }
}
