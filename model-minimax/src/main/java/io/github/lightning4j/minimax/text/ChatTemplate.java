package io.github.lightning4j.minimax.text;

import com.hubspot.jinjava.interpret.RenderResult;
import com.hubspot.jinjava.interpret.TemplateError;
import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/**
 * Turns a conversation into the text a model was trained to continue.
 *
 * <p>Templates are Jinja, as checkpoints carry them, rendered as Python's Jinja renders them with
 * {@code trim_blocks} and {@code lstrip_blocks}. They see {@code messages}, {@code tools} (none if
 * there are none), {@code add_generation_prompt} and {@code raise_exception(text)}; {@code
 * message.content} is always a list of parts. Nothing is escaped: text of a message that spells a
 * special token becomes that token.
 *
 * <p>The language is Jinjava's: {@code if}, {@code for}, {@code set}, {@code macro}, filters,
 * tests, {@code namespace}, {@code generation}, {@code raw}. Refused when the template is made:
 * {@code for ... if}, {@code for ... else}, {@code recursive}, and tags it does not know. Unlike
 * Python, values that do not exist print as nothing (or, added to a string, as {@code null})
 * instead of failing, and {@code true} and {@code none} print as {@code true} and nothing.
 *
 * <p>Templates may be shared between threads. The first rendering in a JVM starts the engine, which
 * takes some tenths of a second.
 */
public final class ChatTemplate {
  private final String name;
  private final TemplateTranslation translation;

  private ChatTemplate(String name, String template) {
    this.name = name;
    this.translation = TemplateTranslation.of(name, template);
  }

  /**
   * A template from its text.
   *
   * @param template Jinja
   * @return the template
   * @throws IllegalArgumentException if it is broken or uses what is not supported, naming the line
   */
  public static ChatTemplate of(String template) {
    return new ChatTemplate("chat template", template);
  }

  /**
   * The template of a checkpoint folder: the file {@code chat_template.jinja}, or {@code
   * chat_template} in {@code tokenizer_config.json}.
   *
   * @param folder the checkpoint folder
   * @return the template
   * @throws CheckpointException if there is none, or it is broken
   */
  public static ChatTemplate load(Path folder) {
    Path file = folder.resolve("chat_template.jinja");
    try {
      if (Files.exists(file)) {
        return new ChatTemplate(file.getFileName().toString(), Files.readString(file));
      }
      file = folder.resolve(TokenizerConfig.FILE);
      String template = TokenizerConfig.read(folder).chatTemplate();
      if (template == null) {
        throw new CheckpointException(
            folder, "no chat template: expected chat_template.jinja, or chat_template in " + file);
      }
      return new ChatTemplate(TokenizerConfig.FILE + " chat_template", template);
    } catch (IOException | IllegalArgumentException e) {
      throw new CheckpointException(file, "chat template: " + e.getMessage(), e);
    }
  }

  /**
   * The template of MiniMax-M1, bundled.
   *
   * @return the template
   */
  public static ChatTemplate minimaxM1() {
    return bundled("minimax-m1.jinja");
  }

  /**
   * The template of MiniMax-Text-01, bundled.
   *
   * @return the template
   */
  public static ChatTemplate minimaxText01() {
    return bundled("minimax-text-01.jinja");
  }

  /**
   * A template for MiniMax-VL-01, bundled: parts of a message in their order, {@code <image>} for
   * each picture.
   *
   * <p>It is inferred, that of MiniMax-Text-01 with places for pictures: the released one was not
   * at hand. A folder that has its own template is better {@linkplain #load loaded}.
   *
   * @return the template
   */
  public static ChatTemplate minimaxVl01() {
    return bundled("minimax-vl-01.jinja");
  }

  private static ChatTemplate bundled(String resource) {
    try (InputStream in = ChatTemplate.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("the jar lacks its resource " + resource);
      }
      return new ChatTemplate(resource, new String(in.readAllBytes(), StandardCharsets.UTF_8));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /**
   * Renders a conversation.
   *
   * @param request the conversation
   * @return the prompt
   * @throws IllegalArgumentException if the template fails on it, naming template and line
   */
  public String render(ChatRequest request) {
    Map<String, Object> bindings = new HashMap<>();
    bindings.put("messages", request.messages().stream().map(ChatMessage::toMap).toList());
    bindings.put("add_generation_prompt", request.addGenerationPrompt());
    if (!request.tools().isEmpty()) {
      bindings.put("tools", request.tools());
    }
    RenderResult result = TemplateEngine.JINJAVA.renderForResult(translation.text(), bindings);
    if (result.hasErrors()) {
      throw failure(result.getErrors().get(0));
    }
    return result.getOutput();
  }

  private IllegalArgumentException failure(TemplateError error) {
    Throwable cause = error.getException();
    while (cause != null
        && cause.getCause() != null
        && !(cause instanceof TemplateEngine.Refusal)) {
      cause = cause.getCause();
    }
    String message =
        cause instanceof TemplateEngine.Refusal ? cause.getMessage() : error.getMessage();
    int line = translation.line(error.getLineno());
    return new IllegalArgumentException(name + ":" + line + ": " + message, error.getException());
  }
}
