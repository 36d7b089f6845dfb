package io.github.lightning4j.moe;

import io.github.lightning4j.core.testkit.Emulation;
import io.github.lightning4j.moe.internal.MoeLibrary;
import org.junit.jupiter.api.Test;

/** Tells if an emulated run took another library. */
final class EmulationCheck {
  @Test
  void runsOnTheEmulatedInstructionSet() {
    Emulation.check(MoeLibrary.get());
  }
}
