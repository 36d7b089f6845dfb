package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.attention.internal.AttentionKernels;
import io.github.lightning4j.core.kernel.Isa;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/**
 * The tests of native kernels run again on a library whose AVX-512 and AMX instructions are
 * emulated; this one tells if they ran on another.
 */
final class EmulationCheck {
  private static final String EMULATED = System.getenv("LIGHTNING4J_EMULATED_ISA");

  @Test
  void runsOnTheEmulatedInstructionSet() {
    Assumptions.assumeTrue(EMULATED != null, "this run is not emulated");
    Isa isa = AttentionKernels.library().isa();
    assertThat(isa).as(AttentionKernels.library().toString()).isNotNull();
    assertThat(isa.code()).isEqualTo(Integer.parseInt(EMULATED));
  }
}
