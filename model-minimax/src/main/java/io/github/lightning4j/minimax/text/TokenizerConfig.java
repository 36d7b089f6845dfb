package io.github.lightning4j.minimax.text;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.jspecify.annotations.Nullable;

/**
 * What is read from {@code tokenizer_config.json}.
 *
 * @param bos name of the token that begins a sequence
 * @param eos name of the token that ends one
 * @param unk name of the token for unknown text, which byte-level BPE never needs
 * @param added added tokens by id ({@code added_tokens_decoder})
 * @param chatTemplate the Jinja text
 */
record TokenizerConfig(
    @Nullable String bos,
    @Nullable String eos,
    @Nullable String unk,
    Map<Integer, String> added,
    @Nullable String chatTemplate) {

  static final String FILE = "tokenizer_config.json";
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Reads a folder's file; all fields are empty where there is none. */
  static TokenizerConfig read(Path folder) {
    Path file = folder.resolve(FILE);
    if (!Files.exists(file)) {
      return new TokenizerConfig(null, null, null, Map.of(), null);
    }
    JsonNode root = json(file);
    Map<Integer, String> added = new TreeMap<>();
    for (Map.Entry<String, JsonNode> entry : root.path("added_tokens_decoder").properties()) {
      added.put(number(file, entry.getKey()), entry.getValue().path("content").asText());
    }
    return new TokenizerConfig(
        token(root, "bos_token"),
        token(root, "eos_token"),
        token(root, "unk_token"),
        added,
        template(root.path("chat_template")));
  }

  /** Parses a JSON file. */
  static JsonNode json(Path file) {
    try {
      JsonNode root = JSON.readTree(Files.readString(file));
      if (!root.isObject()) {
        throw new CheckpointException(file, "expected a JSON object, got " + root.getNodeType());
      }
      return root;
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read as JSON: " + e.getMessage(), e);
    }
  }

  /** The special tokens named here, each once, in the order in which they get new ids. */
  List<String> named() {
    List<String> names = new ArrayList<>();
    for (String name : new String[] {bos, eos, unk}) {
      if (name != null && !names.contains(name)) {
        names.add(name);
      }
    }
    return names;
  }

  private static int number(Path file, String key) {
    try {
      return Integer.parseInt(key);
    } catch (NumberFormatException e) {
      throw new CheckpointException(
          file, "added_tokens_decoder: expected token ids as keys, got \"" + key + "\"", e);
    }
  }

  /** A token is written as its name, or as an object that holds it. */
  private static @Nullable String token(JsonNode root, String field) {
    JsonNode node = root.path(field);
    JsonNode name = node.isObject() ? node.path("content") : node;
    return name.isTextual() ? name.asText() : null;
  }

  /** One template, or a list of named ones of which {@code default} is meant. */
  private static @Nullable String template(JsonNode node) {
    if (node.isTextual()) {
      return node.asText();
    }
    for (JsonNode entry : node) {
      if (entry.path("name").asText().equals("default")) {
        return entry.path("template").asText();
      }
    }
    return null;
  }
}
