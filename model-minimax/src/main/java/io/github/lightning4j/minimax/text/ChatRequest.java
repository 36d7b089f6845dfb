package io.github.lightning4j.minimax.text;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * A conversation to be continued.
 *
 * <pre>{@code
 * ChatRequest request = ChatRequest.of(ChatMessage.user("What is 2+2?"));
 * String prompt = ChatTemplate.minimaxM1().render(request);
 * }</pre>
 *
 * @param messages what was said so far, oldest first
 * @param tools descriptions of the tools the model may call, as JSON objects in Java's own types
 *     ({@code Map}, {@code List}, {@code String}, {@code Number}, {@code Boolean}, {@code null});
 *     printed in the order of their keys
 * @param addGenerationPrompt whether the prompt ends by opening the model's answer
 */
public record ChatRequest(
    List<ChatMessage> messages, List<Map<String, Object>> tools, boolean addGenerationPrompt) {

  /**
   * Copies the lists.
   *
   * @param messages what was said so far
   * @param tools descriptions of the tools
   * @param addGenerationPrompt whether the prompt opens the answer
   */
  public ChatRequest {
    messages = List.copyOf(messages);
    List<Map<String, Object>> copies = new ArrayList<>();
    for (Map<String, Object> tool : tools) {
      copies.add(Collections.unmodifiableMap(new LinkedHashMap<>(tool)));
    }
    tools = Collections.unmodifiableList(copies);
  }

  /**
   * A conversation without tools whose answer is to be generated.
   *
   * @param messages what was said so far, oldest first
   * @return the request
   */
  public static ChatRequest of(ChatMessage... messages) {
    return new ChatRequest(List.of(messages), List.of(), true);
  }

  /**
   * Reads a request from JSON: a list of messages, or {@code {"messages": [...], "tools": [...],
   * "add_generation_prompt": true}}. A message is {@code {"role": ..., "content": ...}} with a
   * string or a list of {@code {"type": "text", "text": ...}} and {@code {"type": "image"}} as
   * content; message and part may have a {@code name}. Other keys are refused, because no prompt
   * would show them: earlier tool calls belong into the content, as the lines {@link ToolCalls}
   * reads.
   *
   * @param json the text
   * @return the request; the generation prompt is on unless switched off
   * @throws IllegalArgumentException if the text is no such request, naming the place
   */
  public static ChatRequest parse(String json) {
    return ChatRequestReader.read("chat request", json);
  }

  /**
   * Reads a request from a file, as {@link #parse(String)} does.
   *
   * @param file a UTF-8 file
   * @return the request
   * @throws IllegalArgumentException if the file cannot be read or is no such request, naming the
   *     file and the place
   */
  public static ChatRequest parse(Path file) {
    return ChatRequestReader.read(file);
  }

  /**
   * Adds a message.
   *
   * @param message said last
   * @return a longer request
   */
  public ChatRequest withMessage(ChatMessage message) {
    List<ChatMessage> longer = new ArrayList<>(messages);
    longer.add(message);
    return new ChatRequest(longer, tools, addGenerationPrompt);
  }

  /**
   * Adds a tool.
   *
   * @param tool its description
   * @return a request with one tool more
   */
  public ChatRequest withTool(Map<String, Object> tool) {
    List<Map<String, Object>> longer = new ArrayList<>(tools);
    longer.add(tool);
    return new ChatRequest(messages, longer, addGenerationPrompt);
  }

  /**
   * Adds a tool.
   *
   * @param json its description, a JSON object
   * @return a request with one tool more
   * @throws IllegalArgumentException if the text is not a JSON object
   */
  public ChatRequest withTool(String json) {
    return withTool(ChatRequestReader.tool(json));
  }

  /**
   * Chooses how the prompt ends.
   *
   * @param add whether it opens the model's answer
   * @return the changed request
   */
  public ChatRequest withGenerationPrompt(boolean add) {
    return new ChatRequest(messages, tools, add);
  }
}
