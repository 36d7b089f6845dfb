package io.github.lightning4j.minimax;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.core.internal.CoreKernels;
import io.github.lightning4j.core.testkit.Emulation;
import io.github.lightning4j.moe.internal.MoeLibrary;
import org.junit.jupiter.api.Test;

/** Tells if an emulated run took other libraries. */
final class EmulationCheck {
  @Test
  void runsOnTheEmulatedInstructionSet() {
    Emulation.check(CoreKernels.library());
    Emulation.check(AttentionKernels.library());
    Emulation.check(MoeLibrary.get());
  }
}
