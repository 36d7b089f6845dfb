package io.github.lightning4j.core.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.kernel.Isa;
import io.github.lightning4j.core.kernel.NativeLibrary;
import org.junit.jupiter.api.Assumptions;

/**
 * Tests of native kernels run again on libraries whose AVX-512 and AMX instructions are emulated
 * (executions {@code emulated-...} of the build).
 */
public final class Emulation {
  private static final String EMULATED = System.getenv("LIGHTNING4J_EMULATED_ISA");

  private Emulation() {}

  /** In such a run, that the library is the emulated one. */
  public static void check(NativeLibrary library) {
    Assumptions.assumeTrue(EMULATED != null, "this run is not emulated");
    Isa isa = library.isa();
    assertThat(isa).as(library.toString()).isNotNull();
    assertThat(isa.code()).isEqualTo(Integer.parseInt(EMULATED));
  }
}
