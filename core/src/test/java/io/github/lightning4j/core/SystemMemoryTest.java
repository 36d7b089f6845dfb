package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

final class SystemMemoryTest {
  @TempDir private Path temp;

  private long available(String meminfo, String max, String current, String stat)
      throws IOException {
    Path machine = Files.writeString(temp.resolve("meminfo"), meminfo);
    Files.writeString(temp.resolve("memory.max"), max);
    Files.writeString(temp.resolve("memory.current"), current);
    Files.writeString(temp.resolve("memory.stat"), stat);
    return SystemMemory.available(machine, temp);
  }

  @Test
  void isWhatTheMachineAndTheGroupLeave() throws IOException {
    String meminfo = "MemTotal:       99999 kB\nMemAvailable:       2000 kB\n";
    assertThat(available(meminfo, "max\n", "7\n", "")).isEqualTo(2000 * 1024);
    assertThat(available(meminfo, "1000000\n", "300000\n", "anon 5\ninactive_file 4000\n"))
        .isEqualTo(704_000);
    assertThat(available(meminfo, "1000\n", "300000\n", "")).isZero();
    assertThat(available(meminfo, "9000000000\n", "1\n", "")).isEqualTo(2000 * 1024);
  }

  @Test
  void isUnboundedWhereNobodyTells() throws IOException {
    assertThat(SystemMemory.available(temp.resolve("a"), temp.resolve("b")))
        .isEqualTo(Long.MAX_VALUE);
    assertThat(available("MemAvailable: many kB", "x", "y", "z")).isEqualTo(Long.MAX_VALUE);
    assertThat(SystemMemory.available()).isPositive();
  }

  @Test
  void tooLittleIsRefusedWithBothNumbers() {
    assertThatCode(() -> OutOfNativeMemoryException.check("weights", 5, 5, "wait"))
        .doesNotThrowAnyException();
    assertThatThrownBy(() -> OutOfNativeMemoryException.check("weights", 6, 5, "wait"))
        .isInstanceOf(OutOfNativeMemoryException.class)
        .hasMessage("weights need 6 bytes of memory, and 5 are available; wait");
  }
}
