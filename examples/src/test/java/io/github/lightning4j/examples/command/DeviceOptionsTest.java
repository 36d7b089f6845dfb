package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code --device}. */
final class DeviceOptionsTest {
  @ParameterizedTest
  @CsvSource({"generate, cuda:0", "bench, cuda:0", "generate, cuda"})
  void tellsInOneLineWhatIsMissing(String command, String device) {
    Availability cuda = KernelModule.availability();
    assumeThat(cuda.isAvailable()).isFalse();
    CommandRun run = CommandRun.of(command, "--device", device);
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.out()).isEmpty();
    assertThat(run.err()).hasLineCount(1).startsWith("minimax: --device " + device);
    assertThat(run.err()).contains(cuda.fix());
  }

  @ParameterizedTest
  @ValueSource(strings = {"gpu", "cuda:", "cuda:-1", "cuda:99999", "CPU"})
  void refusesWhatIsNoDevice(String device) {
    CommandRun run = CommandRun.of("generate", "--device", device);
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err())
        .isEqualTo("minimax: --device: expected cpu or cuda:N, got " + device + "\n");
  }

  @Test
  void sharesExpertsOutOverGpusOnly() {
    CommandRun run = CommandRun.of("generate", "--expert-parallel");
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err())
        .isEqualTo("minimax: --expert-parallel: expected --device cuda, got cpu\n");
  }
}
