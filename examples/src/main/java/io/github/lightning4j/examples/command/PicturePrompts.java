package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import picocli.CommandLine.Option;

/** Prompts with pictures that a model is measured on. */
final class PicturePrompts {
  @Option(
      names = "--image",
      paramLabel = "FILE",
      description =
          "PNG or JPEG picture for a MiniMax-VL-01 model; repeatable. Each prompt takes the next"
              + " ones, as many as it has places for; so there are several prompts.")
  private List<Path> images = List.of();

  @Option(
      names = "--prompt",
      paramLabel = "TEXT",
      description =
          "What to ask of the pictures; repeatable, each is asked of all of them. A picture stands"
              + " where the text has <image>, or before a text that has none.")
  private List<String> texts = List.of();

  @Option(
      names = "--prompt-ids",
      paramLabel = "ID",
      split = ",",
      description = "The same as token ids, separated by commas, with the model's own placeholder.")
  private int[] ids = {};

  @Option(
      names = "--recent",
      paramLabel = "N",
      defaultValue = "128",
      description =
          "Newest tokens that stay in 16 bits, and do not tell where a layer looks"
              + " (${DEFAULT-VALUE}).")
  private int recent;

  /** Whether there are any. */
  boolean isPresent() {
    return !images.isEmpty();
  }

  /** Newest tokens that are recent. */
  int recent() {
    return recent;
  }

  /** What the pictures are called. */
  String corpus() {
    return images.size() + " pictures from " + images.get(0).getFileName();
  }

  /** Checks what can be checked without a model. */
  void check() {
    checkArgument(recent >= 0, "--recent: expected >= 0, got %s", recent);
    if (isPresent()) {
      checkArgument(
          !texts.isEmpty() || ids.length > 0,
          "--image: expected --prompt or --prompt-ids with it: what is asked of the pictures");
    } else {
      checkArgument(texts.isEmpty() && ids.length == 0, "--prompt: expected --image with it");
    }
  }

  /** All prompts, which the scope closes. */
  List<ImagePrompt> read(TextModel open, MemoryScope scope) {
    checkArgument(
        open.model().vision().isPresent(), "--image: %s reads text only", open.model().folder());
    int token = open.model().vision().get().imageToken();
    List<RgbImage> pictures = images.stream().map(RgbImage::read).toList();
    List<ImagePrompt> prompts = new ArrayList<>();
    for (String text : texts) {
      boolean placed = text.contains(ImagePrompt.PLACEHOLDER);
      String whole = placed ? text : ImagePrompt.PLACEHOLDER + text;
      int places = whole.split(ImagePrompt.PLACEHOLDER, -1).length - 1;
      for (List<RgbImage> taken : inTurn("--prompt", pictures, places)) {
        prompts.add(scope.add(open.imagePrompt("--prompt", whole, taken)));
      }
    }
    if (ids.length > 0) {
      int places = (int) Arrays.stream(ids).filter(id -> id == token).count();
      for (List<RgbImage> taken : inTurn("--prompt-ids", pictures, places)) {
        prompts.add(scope.add(open.model().imagePrompt(ids, taken)));
      }
    }
    return prompts;
  }

  private static List<List<RgbImage>> inTurn(String option, List<RgbImage> pictures, int places) {
    checkArgument(
        places > 0 && pictures.size() % places == 0,
        "%s: expected places for pictures, a divisor of the %s given, got %s",
        option,
        pictures.size(),
        places);
    List<List<RgbImage>> parts = new ArrayList<>();
    for (int from = 0; from < pictures.size(); from += places) {
      parts.add(pictures.subList(from, from + places));
    }
    return parts;
  }
}
