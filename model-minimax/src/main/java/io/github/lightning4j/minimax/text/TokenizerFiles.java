package io.github.lightning4j.minimax.text;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * The files that define a tokenizer, read and brought to one form.
 *
 * @param source the file that errors should name
 * @param json the text of a {@code tokenizer.json}, read or composed
 * @param table what each id stands for
 * @param config the settings beside it
 */
record TokenizerFiles(Path source, String json, TokenTable table, TokenizerConfig config) {
  private static final int MAX_ID = 1 << 24;

  /**
   * Reads a folder: {@code tokenizer.json} first, then {@code vocab.json} and {@code merges.txt}.
   */
  static TokenizerFiles read(Path folder) {
    Path json = folder.resolve("tokenizer.json");
    Path vocab = folder.resolve("vocab.json");
    Path merges = folder.resolve("merges.txt");
    if (Files.exists(json)) {
      return ofTokenizerJson(json, TokenizerConfig.read(folder));
    }
    if (Files.exists(vocab) && Files.exists(merges)) {
      return VocabularyFiles.read(vocab, merges, TokenizerConfig.read(folder));
    }
    throw new CheckpointException(
        folder, "no tokenizer here: expected tokenizer.json, or vocab.json and merges.txt");
  }

  private static TokenizerFiles ofTokenizerJson(Path file, TokenizerConfig config) {
    JsonNode root = TokenizerConfig.json(file);
    JsonNode model = root.path("model");
    requireByteLevel(file, root, model);
    TokenTable table = table(file, model.path("vocab"));
    for (JsonNode token : root.path("added_tokens")) {
      String name = token.path("content").asText();
      boolean special = token.path("special").asBoolean();
      table.put(id(file, name, token.path("id")), name, special);
    }
    try {
      return new TokenizerFiles(file, Files.readString(file), table, config);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read: " + e.getMessage(), e);
    }
  }

  /** The base tokens of a vocabulary. */
  static TokenTable table(Path file, JsonNode vocab) {
    if (!vocab.isObject() || vocab.isEmpty()) {
      throw new CheckpointException(file, "vocab: expected an object of token ids, got none");
    }
    TokenTable table = new TokenTable(vocab.size());
    for (Map.Entry<String, JsonNode> entry : vocab.properties()) {
      table.put(id(file, entry.getKey(), entry.getValue()), entry.getKey(), false);
    }
    return table;
  }

  private static int id(Path file, String token, JsonNode id) {
    if (!id.isInt() || id.intValue() < 0 || id.intValue() > MAX_ID) {
      throw new CheckpointException(
          file, "token \"" + token + "\": expected an id of 0 to " + MAX_ID + ", got " + id);
    }
    return id.intValue();
  }

  private static void requireByteLevel(Path file, JsonNode root, JsonNode model) {
    String type = model.path("type").asText("BPE");
    if (!type.equals("BPE")) {
      throw new CheckpointException(file, "model.type: expected BPE, got " + type);
    }
    String decoder = root.path("decoder").path("type").asText("none");
    if (!decoder.equals("ByteLevel")) {
      throw new CheckpointException(file, "decoder.type: expected ByteLevel, got " + decoder);
    }
  }
}
