package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.minimax.text.ChatRequest;
import io.github.lightning4j.minimax.text.ChatTemplate;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What to continue: one of three, or the embedded model's own beginning. */
final class PromptOptions {
  private static final String DEFAULT_PROMPT = "It is a truth universally acknowledged";

  @Option(names = "--prompt", paramLabel = "TEXT", description = "Text to continue.")
  private @Nullable String text;

  @Option(
      names = "--prompt-ids",
      paramLabel = "ID",
      split = ",",
      description = "Token ids to continue, separated by commas.")
  private int @Nullable [] ids;

  @Option(
      names = "--chat",
      paramLabel = "FILE.json",
      description = "Conversation to answer: a list of messages, or an object with tools as well.")
  private @Nullable Path chat;

  /** Whether the answer to a conversation is wanted, which may hold tool calls. */
  boolean isChat() {
    return chat != null;
  }

  /** The tokens to continue. */
  int[] ids(TextModel model, boolean embedded) {
    if (ids != null) {
      return ids;
    }
    if (chat != null) {
      ChatRequest request = ChatRequest.parse(InputFile.text("--chat", chat));
      return model.encode("--chat", template(model.model().folder()).render(request));
    }
    if (text == null && !embedded) {
      throw new IllegalArgumentException("expected one of --prompt, --prompt-ids and --chat");
    }
    return model.encode("--prompt", text == null ? DEFAULT_PROMPT : text);
  }

  /** The folder's own template, or else that of MiniMax-M1. */
  private static ChatTemplate template(Path folder) {
    return hasTemplate(folder) ? ChatTemplate.load(folder) : ChatTemplate.minimaxM1();
  }

  private static boolean hasTemplate(Path folder) {
    if (Files.exists(folder.resolve("chat_template.jinja"))) {
      return true;
    }
    Path config = folder.resolve("tokenizer_config.json");
    if (!Files.exists(config)) {
      return false;
    }
    try {
      return new JsonMapper()
          .readTree(InputFile.text("--chat", config))
          .hasNonNull("chat_template");
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(
          "--chat: " + config + " is not JSON: " + e.getOriginalMessage(), e);
    }
  }
}
