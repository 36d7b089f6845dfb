package io.github.lightning4j.minimax.text;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Reads the lines of a block of tool calls. */
final class ToolCallLines {
  private static final JsonFactory JSON = new JsonFactory();

  private final List<ToolCall> calls = new ArrayList<>();
  private final List<ToolCalls.Malformed> malformed = new ArrayList<>();

  List<ToolCall> calls() {
    return calls;
  }

  List<ToolCalls.Malformed> malformed() {
    return malformed;
  }

  void read(String block, int firstLine) {
    int number = firstLine;
    for (String line : block.split("\n", -1)) {
      if (!line.isBlank()) {
        readLine(line.strip(), number);
      }
      number++;
    }
  }

  private void readLine(String line, int number) {
    try {
      calls.add(call(line));
    } catch (JsonProcessingException e) {
      malformed.add(new ToolCalls.Malformed(number, line, "not JSON: " + e.getOriginalMessage()));
    } catch (IOException | IllegalArgumentException e) {
      malformed.add(new ToolCalls.Malformed(number, line, String.valueOf(e.getMessage())));
    }
  }

  private static ToolCall call(String line) throws IOException {
    String name = null;
    String arguments = null;
    try (JsonParser json = JSON.createParser(line)) {
      if (json.nextToken() != JsonToken.START_OBJECT) {
        throw new IllegalArgumentException("expected a JSON object");
      }
      while (json.nextToken() == JsonToken.FIELD_NAME) {
        String field = json.currentName();
        JsonToken value = json.nextToken();
        if (field.equals("name") && value == JsonToken.VALUE_STRING) {
          name = json.getText();
        } else if (field.equals("arguments") && value == JsonToken.START_OBJECT) {
          arguments = slice(line, json);
        } else {
          json.skipChildren();
        }
      }
      if (json.nextToken() != null) {
        throw new IllegalArgumentException("expected one JSON object, got more behind it");
      }
    }
    return new ToolCall(
        require("name", "a string", name), require("arguments", "an object", arguments));
  }

  /** The source text of the object the parser stands at. */
  private static String slice(String line, JsonParser json) throws IOException {
    int start = (int) json.currentTokenLocation().getCharOffset();
    json.skipChildren();
    return line.substring(start, (int) json.currentLocation().getCharOffset());
  }

  private static String require(String field, String type, @Nullable String value) {
    if (value == null) {
      throw new IllegalArgumentException(field + ": expected " + type + ", got none");
    }
    return value;
  }
}
