package io.github.lightning4j.minimax;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** A JSON object in a file, read key by key; every fault names file, key, expected and got. */
final class JsonFile {
  private final Path file;
  private final JsonNode root;

  /** Where in the file this object is, for messages. */
  private final String place;

  private JsonFile(Path file, JsonNode root, String place) {
    this.file = file;
    this.root = root;
    this.place = place;
  }

  static JsonFile read(Path file) {
    try {
      JsonNode root = JsonMapper.builder().build().readTree(Files.readString(file));
      if (root == null || !root.isObject()) {
        throw new CheckpointException(file, "expected a JSON object");
      }
      return new JsonFile(file, root, "");
    } catch (NoSuchFileException e) {
      throw new CheckpointException(file, "no such file", e);
    } catch (JsonProcessingException e) {
      throw new CheckpointException(file, "not JSON: " + e.getOriginalMessage(), e);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read: " + e.getMessage(), e);
    }
  }

  CheckpointException fault(String key, String expected, String got) {
    return new CheckpointException(file, place + key + ": expected " + expected + ", got " + got);
  }

  Path file() {
    return file;
  }

  /** An object within this one. */
  JsonFile object(String key) {
    if (!root.path(key).isObject()) {
      throw fault(key, "an object", isPresent(key) ? root.get(key).toString() : "nothing");
    }
    return new JsonFile(file, root.get(key), place + key + ".");
  }

  boolean isPresent(String key) {
    return root.hasNonNull(key);
  }

  /** The first of these keys that has a value. */
  @Nullable JsonNode first(String... keys) {
    for (String key : keys) {
      if (root.hasNonNull(key)) {
        return root.get(key);
      }
    }
    return null;
  }

  String text(String key, String otherwise) {
    return text(root, key, otherwise);
  }

  static String text(JsonNode node, String key, String otherwise) {
    return node.hasNonNull(key) ? node.get(key).asText() : otherwise;
  }

  /** A key that, where present, must have one value: the only one this model can do. */
  void require(String key, String value) {
    String got = text(key, value);
    if (!got.equals(value)) {
      throw fault(key, value, got);
    }
  }

  int integer(String key) {
    if (!isPresent(key)) {
      throw fault(key, "an integer", "nothing");
    }
    return integer(key, root.get(key));
  }

  int integer(String key, int otherwise) {
    return isPresent(key) ? integer(key) : otherwise;
  }

  /** An integer, a list of them, or nothing. */
  List<Integer> integers(String key) {
    if (!isPresent(key)) {
      return List.of();
    }
    List<Integer> values = new ArrayList<>();
    JsonNode node = root.get(key);
    if (node.isArray()) {
      node.forEach(item -> values.add(integer(key, item)));
    } else {
      values.add(integer(key, node));
    }
    return values;
  }

  /** An integer, or a list that says the same one for every layer. */
  int uniformInteger(String key) {
    if (!isPresent(key)) {
      throw fault(key, "an integer", "nothing");
    }
    JsonNode node = root.get(key);
    if (!node.isArray()) {
      return integer(key);
    }
    if (node.isEmpty()) {
      throw fault(key, "an integer", "an empty list");
    }
    int value = integer(key, node.get(0));
    for (JsonNode other : node) {
      if (integer(key, other) != value) {
        throw fault(key, "the same value for every layer", node.toString());
      }
    }
    return value;
  }

  int uniformInteger(String key, int otherwise) {
    return isPresent(key) ? uniformInteger(key) : otherwise;
  }

  double number(String key, double otherwise) {
    if (!isPresent(key)) {
      return otherwise;
    }
    JsonNode node = root.get(key);
    if (!node.isNumber() || !Double.isFinite(node.asDouble())) {
      throw fault(key, "a number", node.toString());
    }
    return node.asDouble();
  }

  boolean flag(String key, boolean otherwise) {
    if (!isPresent(key)) {
      return otherwise;
    }
    JsonNode node = root.get(key);
    if (!node.isBoolean()) {
      throw fault(key, "true or false", node.toString());
    }
    return node.asBoolean();
  }

  private int integer(String key, JsonNode node) {
    if (!node.isIntegralNumber() || !node.canConvertToInt()) {
      throw fault(key, "an integer", node.toString());
    }
    return node.asInt();
  }
}
