package io.github.lightning4j.attention;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.core.testkit.Emulation;
import org.junit.jupiter.api.Test;

/** Tells if an emulated run took another library. */
final class EmulationCheck {
  @Test
  void runsOnTheEmulatedInstructionSet() {
    Emulation.check(AttentionKernels.library());
  }
}
