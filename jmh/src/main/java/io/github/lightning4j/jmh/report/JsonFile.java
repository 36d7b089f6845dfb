package io.github.lightning4j.jmh.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.function.Function;

/** A file of results. */
final class JsonFile {
  private JsonFile() {}

  /**
   * What a reader finds in a file.
   *
   * @throws IOException if it cannot be read
   * @throws IllegalArgumentException with the file's name, if there is something else in it
   */
  static <T> T read(Path file, Function<JsonNode, T> reader) throws IOException {
    try {
      return reader.apply(read(file));
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(file + ": " + e.getMessage(), e);
    }
  }

  /**
   * Reads one.
   *
   * @throws IOException if it cannot be read
   * @throws IllegalArgumentException if it does not exist or is not JSON
   */
  static JsonNode read(Path file) throws IOException {
    try {
      return new JsonMapper().readTree(Files.readAllBytes(file));
    } catch (NoSuchFileException e) {
      throw new IllegalArgumentException("no such file", e);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException("expected JSON, got " + e.getOriginalMessage(), e);
    }
  }

  /**
   * A field that must be there.
   *
   * @throws IllegalArgumentException if it is not
   */
  static JsonNode field(JsonNode node, String name) {
    JsonNode value = node.get(name);
    if (value == null || value.isNull()) {
      throw new IllegalArgumentException(
          "expected an object with \"" + name + "\", got " + shortened(node.toString()));
    }
    return value;
  }

  private static String shortened(String text) {
    return text.length() <= 100 ? text : text.substring(0, 100) + "...";
  }
}
