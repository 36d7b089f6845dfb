package io.github.lightning4j.minimax.text;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * One message of a conversation.
 *
 * <p>Parts of a {@code tool} message carry the name of the tool that answered, a {@code function}
 * message carries it itself; the templates of the two models print them and have no word for a
 * missing one, so it is refused here.
 *
 * @param role who speaks: {@code system}, {@code user}, {@code assistant}, {@code tool} (M1) or
 *     {@code function} (Text-01)
 * @param content what is said, in parts
 * @param name the speaker's name, if any
 */
public record ChatMessage(String role, List<Part> content, @Nullable String name) {

  /**
   * A piece of a message.
   *
   * @param type {@code text}, or a kind of media that a template may know
   * @param text the text, empty for other kinds
   * @param name for a tool result, the tool's name
   */
  public record Part(String type, String text, @Nullable String name) {
    /**
     * A piece of text.
     *
     * @param text the text
     * @return the part
     */
    public static Part text(String text) {
      return new Part("text", text, null);
    }

    /**
     * The place of a picture; the picture itself goes along with the prompt.
     *
     * @return the part
     */
    public static Part image() {
      return new Part("image", "", null);
    }
  }

  /**
   * Checks and copies.
   *
   * @param role who speaks
   * @param content what is said
   * @param name the speaker's name, if any
   * @throws IllegalArgumentException if the role is empty, or a tool's or function's name is
   *     missing
   */
  public ChatMessage {
    if (role.isBlank()) {
      throw new IllegalArgumentException(
          "role: expected system, user, assistant, ..., got nothing");
    }
    content = List.copyOf(content);
    if (role.equals("function") && name == null) {
      throw new IllegalArgumentException("name: a function message needs the function's name");
    }
    if (role.equals("tool")) {
      content = named(content, name);
    }
  }

  /** Gives each tool result the message's name where it has none of its own. */
  private static List<Part> named(List<Part> parts, @Nullable String name) {
    List<Part> named = new ArrayList<>();
    for (Part part : parts) {
      String own = part.name() != null ? part.name() : name;
      if (own == null) {
        throw new IllegalArgumentException(
            "content[" + named.size() + "].name: a tool message needs the tool's name");
      }
      named.add(new Part(part.type(), part.text(), own));
    }
    return List.copyOf(named);
  }

  /**
   * Instructions to the model.
   *
   * @param text the instructions
   * @return the message
   */
  public static ChatMessage system(String text) {
    return new ChatMessage("system", List.of(Part.text(text)), null);
  }

  /**
   * What the user says.
   *
   * @param text the words
   * @return the message
   */
  public static ChatMessage user(String text) {
    return new ChatMessage("user", List.of(Part.text(text)), null);
  }

  /**
   * What the model answered before.
   *
   * @param text the answer, tool calls included as the model wrote them
   * @return the message
   */
  public static ChatMessage assistant(String text) {
    return new ChatMessage("assistant", List.of(Part.text(text)), null);
  }

  /**
   * A tool's result, as M1 expects it. Several results of one turn go into one message: use the
   * constructor.
   *
   * @param name the tool's name
   * @param text the result
   * @return the message
   */
  public static ChatMessage tool(String name, String text) {
    return new ChatMessage("tool", List.of(new Part("text", text, name)), null);
  }

  /**
   * A function's result, as Text-01 expects it.
   *
   * @param name the function's name
   * @param json the result, a JSON value: the template prints it without quotes
   * @return the message
   */
  public static ChatMessage function(String name, String json) {
    return new ChatMessage("function", List.of(Part.text(json)), name);
  }

  /** The message as a template sees it; absent names are absent keys. */
  Map<String, Object> toMap() {
    List<Map<String, Object>> parts = new ArrayList<>();
    for (Part part : content) {
      Map<String, Object> map = new LinkedHashMap<>();
      map.put("type", part.type());
      map.put("text", part.text());
      if (part.name() != null) {
        map.put("name", part.name());
      }
      parts.add(map);
    }
    Map<String, Object> message = new LinkedHashMap<>();
    message.put("role", role);
    message.put("content", parts);
    if (name != null) {
      message.put("name", name);
    }
    return message;
  }
}
