package io.github.lightning4j.core.safetensors;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.google.common.primitives.Longs;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Reads the JSON of a header in one pass. Names must be unique, at every level that counts; fields
 * of a tensor that the format does not know are passed over, as the format's own reader does.
 * Messages tell the byte in the file.
 */
final class HeaderParser {
  private static final long MAX_OFFSET = Long.MAX_VALUE / 2;

  private static final JsonFactory JSON =
      JsonFactory.builder()
          .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
          .disable(JsonFactory.Feature.CANONICALIZE_FIELD_NAMES)
          .build();

  private final Path file;
  private final CharBuffer text;
  private final long dataStart;
  private final JsonParser in;
  private final Map<String, TensorInfo> tensors = new LinkedHashMap<>();
  private @Nullable Map<String, String> metadata;

  private HeaderParser(Path file, CharBuffer text, long dataStart) throws IOException {
    this.file = file;
    this.text = text;
    this.dataStart = dataStart;
    this.in = JSON.createParser(text.array(), text.arrayOffset(), text.length());
  }

  /** Parses the bytes after the length. */
  static HeaderParser parse(Path file, byte[] json) throws IOException {
    if (json[0] != '{') {
      throw new CheckpointException(
          file,
          "header at byte 8: expected '{', got byte 0x" + Integer.toHexString(json[0] & 0xff));
    }
    HeaderParser parser = new HeaderParser(file, decoded(file, json), Long.BYTES + json.length);
    try {
      parser.header();
    } catch (JsonProcessingException e) {
      throw new CheckpointException(
          file, "header" + parser.place() + ": not JSON: " + e.getOriginalMessage(), e);
    }
    return parser;
  }

  /** The tensors in the order of the header. */
  Map<String, TensorInfo> tensors() {
    return tensors;
  }

  /** The free text; empty if there is none. */
  Map<String, String> metadata() {
    return metadata == null ? Map.of() : Collections.unmodifiableMap(metadata);
  }

  private static CharBuffer decoded(Path file, byte[] json) {
    ByteBuffer bytes = ByteBuffer.wrap(json);
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(bytes);
    } catch (CharacterCodingException e) {
      throw new CheckpointException(
          file, "header at byte " + (Long.BYTES + bytes.position()) + ": not UTF-8", e);
    }
  }

  private void header() throws IOException {
    in.nextToken();
    for (String name = in.nextFieldName(); name != null; name = in.nextFieldName()) {
      in.nextToken();
      if (name.equals("__metadata__")) {
        freeText();
      } else if (tensors.put(name, tensor(name)) != null) {
        throw fault(subject(name), "one entry of that name", "two");
      }
    }
    if (in.nextToken() != null) {
      throw fault("header", "nothing behind the object", in.getText());
    }
  }

  private void freeText() throws IOException {
    if (metadata != null) {
      throw fault("__metadata__", "one entry of that name", "two");
    }
    metadata = new LinkedHashMap<>();
    expect(JsonToken.START_OBJECT, "__metadata__", "an object of strings");
    for (String key = in.nextFieldName(); key != null; key = in.nextFieldName()) {
      in.nextToken();
      expect(JsonToken.VALUE_STRING, "__metadata__ '" + key + "'", "a string");
      if (metadata.put(key, in.getText()) != null) {
        throw fault("__metadata__ '" + key + "'", "one entry of that name", "two");
      }
    }
  }

  private TensorInfo tensor(String name) throws IOException {
    String subject = subject(name);
    expect(JsonToken.START_OBJECT, subject, "an object");
    StoredType type = null;
    long[] shape = null;
    long[] offsets = null;
    for (String field = in.nextFieldName(); field != null; field = in.nextFieldName()) {
      in.nextToken();
      switch (field) {
        case "dtype" -> type = once(subject, field, type, type(subject));
        case "shape" -> shape = once(subject, field, shape, numbers(subject + ": shape"));
        case "data_offsets" -> offsets = once(subject, field, offsets, offsets(subject));
        default -> in.skipChildren();
      }
    }
    long[] place = present(subject, "data_offsets", offsets);
    return new TensorInfo(
        name,
        present(subject, "dtype", type),
        present(subject, "shape", shape),
        dataStart + place[0],
        dataStart + place[1]);
  }

  private StoredType type(String subject) throws IOException {
    expect(JsonToken.VALUE_STRING, subject + ": dtype", "a string");
    StoredType type = StoredType.of(in.getText());
    if (type == null) {
      throw fault(
          subject + ": dtype", "one of " + Arrays.toString(StoredType.values()), in.getText());
    }
    return type;
  }

  private long[] offsets(String subject) throws IOException {
    long[] offsets = numbers(subject + ": data_offsets");
    // The bound keeps the sum with the start of the data within a long.
    if (offsets.length != 2 || offsets[0] > offsets[1] || offsets[1] > MAX_OFFSET) {
      throw fault(
          subject + ": data_offsets",
          "[begin, end] with begin <= end <= " + MAX_OFFSET,
          Arrays.toString(offsets));
    }
    return offsets;
  }

  private long[] numbers(String subject) throws IOException {
    expect(JsonToken.START_ARRAY, subject, "an array of whole numbers");
    List<Long> numbers = new ArrayList<>();
    while (in.nextToken() != JsonToken.END_ARRAY) {
      expect(JsonToken.VALUE_NUMBER_INT, subject, "whole numbers");
      if (in.getNumberType() == JsonParser.NumberType.BIG_INTEGER || in.getLongValue() < 0) {
        throw fault(subject, "whole numbers from 0 to 2^63 - 1", in.getText());
      }
      numbers.add(in.getLongValue());
    }
    return Longs.toArray(numbers);
  }

  private void expect(JsonToken token, String subject, String expected) throws IOException {
    if (in.currentToken() != token) {
      throw fault(subject, expected, String.valueOf(in.getText()));
    }
  }

  private <T> T once(String subject, String field, @Nullable T before, T value) {
    if (before != null) {
      throw fault(subject + ": " + field, "one field of that name", "two");
    }
    return value;
  }

  private <T> T present(String subject, String field, @Nullable T value) {
    if (value == null) {
      throw fault(subject, "a field " + field, "none");
    }
    return value;
  }

  private static String subject(String tensor) {
    return "tensor '" + tensor + "'";
  }

  private CheckpointException fault(String subject, String expected, String got) {
    return new CheckpointException(
        file, subject + place() + ": expected " + expected + ", got " + got);
  }

  /** The byte in the file where the token begins that was read last. */
  private String place() {
    long before = Math.max(0, in.currentTokenLocation().getCharOffset());
    CharBuffer read = text.duplicate().limit((int) Math.min(before, text.limit()));
    return " at byte " + (Long.BYTES + StandardCharsets.UTF_8.encode(read).limit());
  }
}
