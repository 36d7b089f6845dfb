package io.github.lightning4j.minimax.text;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.google.common.collect.ImmutableSet;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Reads requests from JSON; every error names the source and the place in it. */
final class ChatRequestReader {
  private static final ObjectMapper JSON =
      new ObjectMapper().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);
  private static final TypeReference<Map<String, Object>> OBJECT = new TypeReference<>() {};

  private static final Set<String> REQUEST_KEYS =
      ImmutableSet.of("messages", "tools", "add_generation_prompt");
  private static final Set<String> MESSAGE_KEYS = ImmutableSet.of("role", "content", "name");
  private static final Set<String> PART_KEYS = ImmutableSet.of("type", "text", "name");

  private final String source;

  private ChatRequestReader(String source) {
    this.source = source;
  }

  static ChatRequest read(Path file) {
    try {
      return read(file.toString(), Files.readString(file));
    } catch (IOException e) {
      throw new IllegalArgumentException(file + ": cannot be read: " + e, e);
    }
  }

  static ChatRequest read(String source, String json) {
    return new ChatRequestReader(source).request(json);
  }

  static Map<String, Object> tool(String json) {
    ChatRequestReader reader = new ChatRequestReader("tool");
    return reader.tool("description", reader.tree(json));
  }

  private ChatRequest request(String json) {
    JsonNode root = tree(json);
    if (root.isArray()) {
      return new ChatRequest(messages(root), List.of(), true);
    }
    checkKeys("", root, REQUEST_KEYS);
    JsonNode messages = root.path("messages");
    if (!messages.isArray()) {
      throw bad("messages", "a list of messages", messages);
    }
    JsonNode tools = root.path("tools");
    if (!tools.isArray() && !absent(tools)) {
      throw bad("tools", "a list of JSON objects", tools);
    }
    List<Map<String, Object>> read = new ArrayList<>();
    for (JsonNode tool : tools) {
      read.add(tool("tools[" + read.size() + "]", tool));
    }
    JsonNode prompt = root.path("add_generation_prompt");
    if (!prompt.isBoolean() && !absent(prompt)) {
      throw bad("add_generation_prompt", "true or false", prompt);
    }
    return new ChatRequest(messages(messages), read, absent(prompt) || prompt.asBoolean());
  }

  private List<ChatMessage> messages(JsonNode list) {
    List<ChatMessage> messages = new ArrayList<>();
    for (JsonNode node : list) {
      String place = "messages[" + messages.size() + "]";
      checkKeys(place + ".", node, MESSAGE_KEYS);
      String role = text(place + ".role", node.path("role"));
      List<ChatMessage.Part> content = content(place + ".content", node.path("content"));
      String name = optional(place + ".name", node.path("name"));
      try {
        messages.add(new ChatMessage(role, content, name));
      } catch (IllegalArgumentException e) {
        throw new IllegalArgumentException(source + ": " + place + "." + e.getMessage(), e);
      }
    }
    return messages;
  }

  private List<ChatMessage.Part> content(String place, JsonNode node) {
    if (node.isTextual()) {
      return List.of(ChatMessage.Part.text(node.asText()));
    }
    if (!node.isArray()) {
      throw bad(place, "a string (\"\" for nothing) or a list of {type, text}", node);
    }
    List<ChatMessage.Part> parts = new ArrayList<>();
    for (JsonNode part : node) {
      String at = place + "[" + parts.size() + "]";
      checkKeys(at + ".", part, PART_KEYS);
      String type = text(at + ".type", part.path("type"));
      String text = type.equals("text") ? text(at + ".text", part.path("text")) : "";
      parts.add(new ChatMessage.Part(type, text, optional(at + ".name", part.path("name"))));
    }
    return parts;
  }

  /** Refuses what would be left out of the prompt without a word. */
  private void checkKeys(String place, JsonNode object, Set<String> known) {
    object
        .fieldNames()
        .forEachRemaining(
            key -> {
              if (!known.contains(key)) {
                String mend =
                    key.equals("tool_calls")
                        ? "put the calls into content as <tool_calls> lines"
                        : "expected one of " + String.join(", ", known);
                throw new IllegalArgumentException(
                    source + ": " + place + key + ": unknown key; " + mend);
              }
            });
  }

  private Map<String, Object> tool(String place, JsonNode node) {
    if (!node.isObject()) {
      throw bad(place, "a JSON object", node);
    }
    return JSON.convertValue(node, OBJECT);
  }

  private JsonNode tree(String json) {
    try {
      return JSON.readTree(json);
    } catch (JsonProcessingException e) {
      int line = e.getLocation() == null ? 0 : e.getLocation().getLineNr();
      throw new IllegalArgumentException(
          source + ":" + line + ": not JSON: " + e.getOriginalMessage(), e);
    }
  }

  private String text(String place, JsonNode node) {
    if (!node.isTextual()) {
      throw bad(place, "a string", node);
    }
    return node.asText();
  }

  private @Nullable String optional(String place, JsonNode node) {
    return absent(node) ? null : text(place, node);
  }

  private static boolean absent(JsonNode node) {
    return node.isMissingNode() || node.isNull();
  }

  private IllegalArgumentException bad(String place, String expected, JsonNode got) {
    String what = got.isMissingNode() ? "nothing" : got.toString();
    String shown = what.length() > 80 ? what.substring(0, 80) + "..." : what;
    return new IllegalArgumentException(
        source + ": " + place + ": expected " + expected + ", got " + shown);
  }
}
