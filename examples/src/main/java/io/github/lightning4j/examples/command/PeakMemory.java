package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;

/** The most physical memory this process has held, where the system tells (Linux). */
final class PeakMemory {
  private static final String FIELD = "VmHWM:";

  private PeakMemory() {}

  /** Bytes, mapped weights that were touched included. */
  static OptionalLong bytes() {
    try {
      return Files.readAllLines(Path.of("/proc/self/status")).stream()
          .filter(line -> line.startsWith(FIELD))
          .mapToLong(line -> 1024 * Long.parseLong(line.replaceAll("\\D", "")))
          .findFirst();
    } catch (IOException e) {
      return OptionalLong.empty();
    }
  }

  /** Adds {@code peakRssBytes}, or nothing where the system does not tell. */
  static void addTo(ObjectNode result) {
    bytes().ifPresent(bytes -> result.put("peakRssBytes", bytes));
  }
}
