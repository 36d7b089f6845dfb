package io.github.lightning4j.minimax.text;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Files that tests read in place: of the repository, and of the folder of golden data beside it.
 */
final class SharedFiles {
  static final ObjectMapper JSON = new ObjectMapper();

  private SharedFiles() {}

  private static Path repository() {
    return Path.of(System.getProperty("lightning4j.repository", ".."));
  }

  /** The embedded model's folder. */
  static Path nano() {
    return repository().resolve("models/minimax-nano");
  }

  /** A file of the golden data; the test is skipped where it is not at hand. */
  static Path shared(String path) {
    String folder = System.getProperty("lightning4j.shared");
    Path root = folder != null ? Path.of(folder) : repository().resolve("../shared");
    Path file = root.resolve(path).normalize();
    assumeTrue(
        Files.exists(file), () -> "skipped: " + file + " is missing (-Dlightning4j.shared=FOLDER)");
    return file;
  }

  static JsonNode json(Path file) throws IOException {
    return JSON.readTree(Files.readString(file));
  }

  static int[] ids(JsonNode list) {
    int[] ids = new int[list.size()];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = list.get(i).intValue();
    }
    return ids;
  }
}
