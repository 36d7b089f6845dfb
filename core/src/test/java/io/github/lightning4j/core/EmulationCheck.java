package io.github.lightning4j.core;

import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.testkit.Emulation;
import org.junit.jupiter.api.Test;

/** Tells if an emulated run took another library. */
final class EmulationCheck {
  @Test
  void runsOnTheEmulatedInstructionSet() {
    Emulation.check(CoreKernels.library());
  }
}
