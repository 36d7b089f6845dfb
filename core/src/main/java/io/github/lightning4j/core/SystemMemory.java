package io.github.lightning4j.core;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalLong;

/** How much physical memory is left, as Linux tells. */
public final class SystemMemory {
  private static final Path PROC = Path.of("/proc");
  private static final Path GROUPS = Path.of("/sys/fs/cgroup");

  /** How the files of a group are called, in bytes all of them. */
  private record Names(String limit, String used, String pages) {}

  private static final Names V1 =
      new Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
  private static final Names V2 = new Names("memory.max", "memory.current", "inactive_file");

  private SystemMemory() {}

  /**
   * Bytes that could be taken without swapping: what the kernel can free at once, and no more than
   * the limits of the control group of this process and of those around it leave, of version 1 or
   * 2. File pages that a group has used lately count as taken though they could be given back, so
   * this may be less than the truth in a small container.
   *
   * @return the bytes; {@link Long#MAX_VALUE} where the system does not tell
   */
  public static long available() {
    return available(PROC, GROUPS);
  }

  /**
   * As {@link #available()}.
   *
   * @param proc where {@code meminfo} and {@code self/cgroup} are
   * @param groups where groups of version 2 are mounted, and those of version 1 by controller
   */
  static long available(Path proc, Path groups) {
    long free = field(proc.resolve("meminfo"), "MemAvailable:").orElse(Long.MAX_VALUE);
    List<String> lines = lines(proc.resolve("self/cgroup"));
    Path v1 = groups.resolve("memory");
    free = Math.min(free, left(v1, group(lines, "memory"), V1));
    return Math.min(free, left(groups, group(lines, ""), V2));
  }

  /** The path of this process's group, of lines {@code number:controller,...:/path}. */
  private static String group(List<String> lines, String controller) {
    for (String line : lines) {
      String[] parts = line.split(":", 3);
      if (parts.length == 3 && List.of(parts[1].split(",")).contains(controller)) {
        return parts[2];
      }
    }
    return "/";
  }

  /**
   * The least that a group and those around it leave. A container sees its own group where all are
   * mounted, and may be told the path from outside, which is not there: then no limit is found but
   * at the top.
   */
  private static long left(Path top, String path, Names names) {
    long least = Long.MAX_VALUE;
    Path group = top.resolve(path.replaceFirst("^/+", "")).normalize();
    for (Path at = group; at != null && at.startsWith(top); at = at.getParent()) {
      least = Math.min(least, left(at, names));
    }
    return group.startsWith(top) ? least : left(top, names);
  }

  private static long left(Path group, Names names) {
    OptionalLong limit = number(group.resolve(names.limit()));
    OptionalLong used = number(group.resolve(names.used()));
    if (limit.isEmpty() || used.isEmpty()) {
      return Long.MAX_VALUE;
    }
    long pages = field(group.resolve("memory.stat"), names.pages()).orElse(0);
    return Math.max(0, limit.getAsLong() - Math.max(0, used.getAsLong() - pages));
  }

  /**
   * The number behind a name, in bytes: lines are {@code name number} or {@code name number kB}.
   */
  private static OptionalLong field(Path file, String name) {
    for (String line : lines(file)) {
      String[] words = line.split("\\s+");
      if (words.length >= 2 && words[0].equals(name)) {
        OptionalLong value = number(words[1]);
        return value.isEmpty() || words.length == 2
            ? value
            : OptionalLong.of(value.getAsLong() * 1024);
      }
    }
    return OptionalLong.empty();
  }

  /** The only number of a file; none where it says {@code max}, or is not there. */
  private static OptionalLong number(Path file) {
    List<String> lines = lines(file);
    return lines.size() == 1 ? number(lines.get(0).strip()) : OptionalLong.empty();
  }

  private static OptionalLong number(String text) {
    try {
      return OptionalLong.of(Long.parseLong(text));
    } catch (NumberFormatException e) {
      return OptionalLong.empty();
    }
  }

  /** The lines of a file; none where it cannot be read. */
  private static List<String> lines(Path file) {
    try {
      return Files.readAllLines(file);
    } catch (IOException e) {
      return List.of();
    }
  }
}
