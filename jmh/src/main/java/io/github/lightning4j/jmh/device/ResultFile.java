package io.github.lightning4j.jmh.device;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Results as lines of JSON, written one by one, so that a process that ends early leaves what it
 * had. A later line for the same row takes the place of an earlier one.
 */
final class ResultFile {
  private static final JsonMapper JSON = new JsonMapper();

  private final Path file;

  ResultFile(Path file) {
    this.file = file;
  }

  /** The last result of each row; none where there is no file. */
  Collection<DeviceResult> read() throws IOException {
    Map<String, DeviceResult> results = new LinkedHashMap<>();
    if (Files.exists(file)) {
      for (String line : Files.readAllLines(file)) {
        if (!line.isBlank()) {
          DeviceResult result = parse(line);
          results.put(result.row(), result);
        }
      }
    }
    return results.values();
  }

  private DeviceResult parse(String line) throws IOException {
    try {
      return JSON.readValue(line, DeviceResult.class);
    } catch (JsonProcessingException e) {
      throw new IOException(file + ": expected a result a line, got " + line, e);
    }
  }

  void add(DeviceResult result) throws IOException {
    Files.writeString(
        file,
        JSON.writeValueAsString(result) + "\n",
        StandardOpenOption.CREATE,
        StandardOpenOption.APPEND);
  }
}
