package io.github.lightning4j.minimax.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * Composes a {@code tokenizer.json} from {@code vocab.json} and {@code merges.txt}.
 *
 * <p>The two files hold the BPE alone. The split pattern is the o200k one, published for the later
 * models on the same vocabulary and inferred for MiniMax-01 and M1. Special tokens enter the
 * model's vocabulary under their own ids, because the native reader numbers added tokens by their
 * order in the file and would close the gaps.
 */
final class VocabularyFiles {
  private static final int RELEASED_BASE = 200_000;
  private static final int RELEASED_SIZE = 200_064;

  /** Names in the released vocabulary; 200020 is confirmed, the others are inferred. */
  private static final Map<Integer, String> RELEASED =
      Map.of(
          200_019, "<beginning_of_sentence>",
          200_020, "<end_of_sentence>",
          200_021, "<end_of_document>",
          200_034, "<begin_of_document>");

  private static final String UPPER = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String LOWER = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
  private static final String LEAD = "[^\\r\\n\\p{L}\\p{N}]?";
  private static final String CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";

  private static final String SPLIT =
      String.join(
          "|",
          LEAD + UPPER + "*" + LOWER + "+" + CONTRACTION,
          LEAD + UPPER + "+" + LOWER + "*" + CONTRACTION,
          "\\p{N}{1,3}",
          " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
          "\\s*[\\r\\n]+",
          "\\s+(?!\\S)",
          "\\s+");

  private VocabularyFiles() {}

  static TokenizerFiles read(Path vocabFile, Path mergesFile, TokenizerConfig config) {
    JsonNode vocab = TokenizerConfig.json(vocabFile);
    TokenTable table = TokenizerFiles.table(vocabFile, vocab);
    boolean released = vocab.size() == RELEASED_BASE && table.size() == RELEASED_BASE;
    SortedMap<Integer, String> special =
        released ? new TreeMap<>(RELEASED) : configured(table, config);
    special.forEach((id, name) -> table.put(id, name, true));
    if (released) {
      table.reserve(RELEASED_SIZE);
    }
    String json = compose(vocab, mergesFile, special);
    return new TokenizerFiles(vocabFile, json, table, config);
  }

  /** The special tokens of the configuration, by id; those without one follow the vocabulary. */
  private static SortedMap<Integer, String> configured(TokenTable base, TokenizerConfig config) {
    SortedMap<Integer, String> special = new TreeMap<>(config.added());
    int next = Math.max(base.size(), special.isEmpty() ? 0 : special.lastKey() + 1);
    for (String name : config.named()) {
      if (!special.containsValue(name)) {
        int known = base.id(name).orElse(-1);
        special.put(known >= 0 ? known : next++, name);
      }
    }
    return special;
  }

  private static String compose(JsonNode vocab, Path merges, SortedMap<Integer, String> special) {
    StringWriter text = new StringWriter(vocab.size() * 64);
    try (JsonGenerator json = new JsonFactory().createGenerator(text)) {
      json.writeStartObject();
      json.writeStringField("version", "1.0");
      json.writeNullField("truncation");
      json.writeNullField("padding");
      writeAdded(json, special);
      json.writeNullField("normalizer");
      writePreTokenizer(json);
      json.writeNullField("post_processor");
      json.writeFieldName("decoder");
      writeByteLevel(json);
      json.writeObjectFieldStart("model");
      json.writeStringField("type", "BPE");
      writeVocabulary(json, vocab, special);
      writeMerges(json, merges);
      json.writeEndObject();
      json.writeEndObject();
    } catch (IOException e) {
      throw new CheckpointException(merges, "cannot be read: " + e.getMessage(), e);
    }
    return text.toString();
  }

  private static void writeAdded(JsonGenerator json, SortedMap<Integer, String> special)
      throws IOException {
    json.writeArrayFieldStart("added_tokens");
    for (Map.Entry<Integer, String> token : special.entrySet()) {
      json.writeStartObject();
      json.writeNumberField("id", token.getKey());
      json.writeStringField("content", token.getValue());
      json.writeBooleanField("single_word", false);
      json.writeBooleanField("lstrip", false);
      json.writeBooleanField("rstrip", false);
      json.writeBooleanField("normalized", false);
      json.writeBooleanField("special", true);
      json.writeEndObject();
    }
    json.writeEndArray();
  }

  private static void writePreTokenizer(JsonGenerator json) throws IOException {
    json.writeObjectFieldStart("pre_tokenizer");
    json.writeStringField("type", "Sequence");
    json.writeArrayFieldStart("pretokenizers");
    json.writeStartObject();
    json.writeStringField("type", "Split");
    json.writeObjectFieldStart("pattern");
    json.writeStringField("Regex", SPLIT);
    json.writeEndObject();
    json.writeStringField("behavior", "Isolated");
    json.writeBooleanField("invert", false);
    json.writeEndObject();
    writeByteLevel(json);
    json.writeEndArray();
    json.writeEndObject();
  }

  private static void writeByteLevel(JsonGenerator json) throws IOException {
    json.writeStartObject();
    json.writeStringField("type", "ByteLevel");
    json.writeBooleanField("add_prefix_space", false);
    json.writeBooleanField("trim_offsets", true);
    json.writeBooleanField("use_regex", false);
    json.writeEndObject();
  }

  private static void writeVocabulary(
      JsonGenerator json, JsonNode vocab, SortedMap<Integer, String> special) throws IOException {
    json.writeObjectFieldStart("vocab");
    for (Map.Entry<String, JsonNode> token : vocab.properties()) {
      json.writeNumberField(token.getKey(), token.getValue().intValue());
    }
    for (Map.Entry<Integer, String> token : special.entrySet()) {
      if (!vocab.has(token.getValue())) {
        json.writeNumberField(token.getValue(), token.getKey());
      }
    }
    json.writeEndObject();
  }

  private static void writeMerges(JsonGenerator json, Path file) throws IOException {
    json.writeArrayFieldStart("merges");
    List<String> lines = Files.readAllLines(file);
    for (int i = 0; i < lines.size(); i++) {
      String line = lines.get(i);
      if (line.isEmpty() || i == 0 && line.startsWith("#version")) {
        continue;
      }
      int space = line.indexOf(' ');
      if (space < 1 || space == line.length() - 1 || space != line.lastIndexOf(' ')) {
        throw new CheckpointException(
            file, "line " + (i + 1) + ": expected two tokens and a space, got \"" + line + "\"");
      }
      json.writeStartArray();
      json.writeString(line.substring(0, space));
      json.writeString(line.substring(space + 1));
      json.writeEndArray();
    }
    json.writeEndArray();
  }
}
