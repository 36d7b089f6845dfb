package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.text.ChatRequest;
import io.github.lightning4j.minimax.text.ChatTemplate;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
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

  /**
   * The prompt to continue, with pictures where it has their placeholders; a text without any gets
   * them at its beginning. The caller closes it.
   */
  ImagePrompt read(TextModel model, boolean embedded, List<Path> files) {
    List<RgbImage> images = files.stream().map(RgbImage::read).toList();
    if (ids != null) {
      return model.model().imagePrompt(ids, images);
    }
    if (chat != null) {
      ChatRequest request = ChatRequest.parse(InputFile.text("--chat", chat));
      return model.imagePrompt("--chat", template(model.model()).render(request), images);
    }
    if (text == null && !embedded) {
      throw new IllegalArgumentException("expected one of --prompt, --prompt-ids and --chat");
    }
    String prompt = text == null ? DEFAULT_PROMPT : text;
    boolean placed = prompt.contains(ImagePrompt.PLACEHOLDER);
    String pictures = placed ? "" : ImagePrompt.PLACEHOLDER.repeat(images.size());
    return model.imagePrompt("--prompt", pictures + prompt, images);
  }

  /** The folder's own template, or else that of MiniMax-VL-01 or MiniMax-M1. */
  private static ChatTemplate template(MiniMaxModel model) {
    if (hasTemplate(model.folder())) {
      return ChatTemplate.load(model.folder());
    }
    return model.vision().isPresent() ? ChatTemplate.minimaxVl01() : ChatTemplate.minimaxM1();
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
