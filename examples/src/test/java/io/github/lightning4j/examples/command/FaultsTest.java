package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;

final class FaultsTest {
  private final StringWriter told = new StringWriter();
  private final Faults faults = new Faults(new PrintWriter(told), () -> false);

  @Test
  void memoryThatAGpuLacksIsNoFaultOfTheProgram() {
    assertThat(faults.report(new CudaOutOfMemoryException(2, "weights", 100, 10, 20))).isEqualTo(2);
    assertThat(told.toString())
        .startsWith("minimax: ")
        .contains("100 bytes", "10 of 20 are free", "use a smaller model")
        .doesNotContain("internal fault");
  }

  @Test
  void whatNobodyForesawIs() {
    assertThat(faults.report(new UnsupportedOperationException("x"))).isEqualTo(1);
    assertThat(told.toString())
        .isEqualToIgnoringNewLines(
            "minimax: internal fault: java.lang.UnsupportedOperationException: x");
  }
}
