package io.github.lightning4j.core;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** How much physical memory is left, as Linux tells. */
public final class SystemMemory {
  private static final Path MACHINE = Path.of("/proc/meminfo");
  private static final Path GROUP = Path.of("/sys/fs/cgroup");

  private SystemMemory() {}

  /**
   * Bytes that could be taken without swapping: what the kernel can free at once, and no more than
   * the limit of the control group leaves. File pages that the group has used lately count as taken
   * though they could be given back, so this may be less than the truth in a small container.
   *
   * @return the bytes; {@link Long#MAX_VALUE} where the system does not tell
   */
  public static long available() {
    return available(MACHINE, GROUP);
  }

  static long available(Path machine, Path group) {
    long free = field(machine, "MemAvailable:").orElse(Long.MAX_VALUE);
    OptionalLong limit = number(group.resolve("memory.max"));
    OptionalLong used = number(group.resolve("memory.current"));
    if (limit.isEmpty() || used.isEmpty()) {
      return free;
    }
    long pages = field(group.resolve("memory.stat"), "inactive_file").orElse(0);
    return Math.min(free, Math.max(0, limit.getAsLong() - used.getAsLong() + pages));
  }

  /**
   * The number behind a name, in bytes: lines are {@code name number} or {@code name number kB}.
   */
  private static OptionalLong field(Path file, String name) {
    try {
      for (String line : Files.readAllLines(file)) {
        String[] words = line.split("\\s+");
        if (words.length >= 2 && words[0].equals(name)) {
          return OptionalLong.of(Long.parseLong(words[1]) * (words.length > 2 ? 1024 : 1));
        }
      }
      return OptionalLong.empty();
    } catch (IOException | NumberFormatException e) {
      return OptionalLong.empty();
    }
  }

  /** The only number of a file; none where it says {@code max}, or is not there. */
  private static OptionalLong number(Path file) {
    try {
      return OptionalLong.of(Long.parseLong(Files.readString(file).strip()));
    } catch (IOException | NumberFormatException e) {
      return OptionalLong.empty();
    }
  }
}
