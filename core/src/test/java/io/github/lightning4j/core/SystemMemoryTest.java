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

  private void write(String file, String text) throws IOException {
    Path path = temp.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, text);
  }

  private long available() {
    return SystemMemory.available(temp.resolve("proc"), temp.resolve("groups"));
  }

  private long available(String meminfo, String max, String current, String stat)
      throws IOException {
    write("proc/meminfo", meminfo);
    write("groups/memory.max", max);
    write("groups/memory.current", current);
    write("groups/memory.stat", stat);
    return available();
  }

  /** A group of version 2. */
  private void v2(String group, String max, long current, long pages) throws IOException {
    write("groups" + group + "/memory.max", max + "\n");
    write("groups" + group + "/memory.current", current + "\n");
    write("groups" + group + "/memory.stat", "inactive_file " + pages + "\n");
  }

  /** A group of version 1. */
  private void v1(String group, long limit, long usage, long pages) throws IOException {
    write("groups/memory" + group + "/memory.limit_in_bytes", limit + "\n");
    write("groups/memory" + group + "/memory.usage_in_bytes", usage + "\n");
    write(
        "groups/memory" + group + "/memory.stat",
        "inactive_file 1\ntotal_inactive_file " + pages + "\n");
  }

  @Test
  void isTheLeastThatTheGroupsAroundAProcessLeave() throws IOException {
    write("proc/meminfo", "MemAvailable: 1000000 kB\n");
    write("proc/self/cgroup", "0::/a/b/c\n");
    v2("/a/b/c", "max", 10, 0);
    v2("/a/b", "9000", 1000, 500);
    v2("/a", "20000", 1000, 0);
    assertThat(available()).isEqualTo(8500);
    v2("/a", "20000", 19000, 0);
    assertThat(available()).isEqualTo(1000);
    v2("/a/b/c", "300", 100, 0);
    assertThat(available()).isEqualTo(200);
    v2("/other", "3", 1, 0);
    assertThat(available()).isEqualTo(200);
  }

  @Test
  void readsGroupsOfVersionOneToo() throws IOException {
    write("proc/meminfo", "MemAvailable: 1000000 kB\n");
    write("proc/self/cgroup", "9:name=systemd:/x\n4:cpu,memory:/a/b\n3:cpuset:/y\n0::/\n");
    long none = 0x7ffffffffffff000L;
    v1("", none, 5000, 6000);
    v1("/a", 70_000, 30_000, 4000);
    v1("/a/b", none, 100, 0);
    v1("/x", 1, 0, 0);
    assertThat(available()).isEqualTo(44_000);
    v1("/a/b", 40_000, 100, 0);
    assertThat(available()).isEqualTo(39_900);
  }

  @Test
  void aPathFromOutsideTheContainerFindsTheGroupAtTheTop() throws IOException {
    write("proc/meminfo", "MemAvailable: 1000000 kB\n");
    write("proc/self/cgroup", "4:memory:/docker/0123\n0::/../../elsewhere\n");
    v1("", 5000, 1000, 0);
    assertThat(available()).isEqualTo(4000);
    v2("", "3000", 1000, 0);
    assertThat(available()).isEqualTo(2000);
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
    assertThat(available()).isEqualTo(Long.MAX_VALUE);
    assertThat(available("MemAvailable: many kB", "x", "y", "z")).isEqualTo(Long.MAX_VALUE);
    assertThat(SystemMemory.available()).isPositive();
  }

  @Test
  void aRefusalTellsWhatIsAvailable() {
    String message = new OutOfNativeMemoryException(70, 30).getMessage();
    String available = SystemMemory.available() == Long.MAX_VALUE ? "" : ", [0-9]+ are available";
    assertThat(message)
        .matches(
            "the system refused 70 bytes of memory \\(30 bytes are held" + available + "\\); .*");
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
