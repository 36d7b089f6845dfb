package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.Generator;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * An open model and, where its folder has one, its tokenizer.
 *
 * @param model the model
 * @param tokenizer text to ids and back; null if the folder has none
 */
record TextModel(MiniMaxModel model, @Nullable Tokenizer tokenizer) implements AutoCloseable {
  /** Opens both. */
  static TextModel open(ModelOptions options, Console console) {
    return open(options, KvCacheFormat.F32, console);
  }

  /** Opens both, with key-value caches of a format. */
  static TextModel open(ModelOptions options, KvCacheFormat caches, Console console) {
    Path folder = options.folder(console);
    MiniMaxModel model = options.load(folder, console, caches);
    try {
      return new TextModel(model, hasTokenizer(folder) ? Tokenizer.load(folder) : null);
    } catch (RuntimeException | Error e) {
      model.close();
      throw e;
    }
  }

  private static boolean hasTokenizer(Path folder) {
    return Files.exists(folder.resolve("tokenizer.json"))
        || Files.exists(folder.resolve("vocab.json")) && Files.exists(folder.resolve("merges.txt"));
  }

  /**
   * The ids of a text.
   *
   * @param option the option that gave the text, for the message
   * @throws IllegalArgumentException if there is no tokenizer
   */
  int[] encode(String option, String text) {
    checkTokenizer(option);
    return tokenizer.encode(text);
  }

  private void checkTokenizer(String option) {
    if (tokenizer == null) {
      throw new IllegalArgumentException(
          option + ": " + model.folder() + " has no tokenizer; only ids can be used with it");
    }
  }

  /**
   * A text with pictures as tokens.
   *
   * @param option the option that gave the text, for the message
   * @throws IllegalArgumentException if there is no tokenizer, or pictures and text do not match
   */
  ImagePrompt imagePrompt(String option, String text, List<RgbImage> images) {
    checkTokenizer(option);
    return new Generator(model, tokenizer).imagePrompt(text, images);
  }

  @Override
  public void close() {
    if (tokenizer != null) {
      tokenizer.close();
    }
    model.close();
  }
}
