package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.attention.internal.AttentionKernels;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * Tests of native kernels are skipped where there is no library; this one tells if it is broken.
 */
final class NativeLibraryTest {
  private static final String FILE = "internal/linux-x86_64/libjniattention.so";

  @Test
  void loadsWhereItWasBuilt() {
    Assumptions.assumeTrue(
        LightningAttention.class.getResource(FILE) != null
            && !Boolean.getBoolean("lightning4j.reference"),
        "no " + FILE + ": native code was not built");
    assertThat(AttentionKernels.library().availability().isAvailable())
        .as(AttentionKernels.library().toString())
        .isTrue();
  }
}
