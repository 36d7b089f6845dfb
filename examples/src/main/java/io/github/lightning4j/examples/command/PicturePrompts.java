package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
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
      names = "--captions",
      paramLabel = "FILE.tsv",
      description =
          "In place of --image: a line each with a picture, a tab, and what stands behind --prompt"
              + " for this picture.")
  private Optional<Path> captions = Optional.empty();

  @Option(
      names = "--pictures",
      paramLabel = "DIR",
      description = "Folder of the pictures of --captions.")
  private Optional<Path> folder = Optional.empty();

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
          "Newest tokens that stay in 16 bits where a format keeps any, and do not tell where a"
              + " layer looks (${DEFAULT-VALUE}).")
  private int recent;

  /** Whether there are any. */
  boolean isPresent() {
    return !images.isEmpty() || captions.isPresent();
  }

  /** Newest tokens that are recent. */
  int recent() {
    return recent;
  }

  /** What the pictures are called. */
  String corpus() {
    return captions
        .map(file -> "pictures of " + file.getFileName())
        .orElseGet(() -> images.size() + " pictures from " + images.get(0).getFileName());
  }

  /** Checks what can be checked without a model. */
  void check() {
    checkArgument(recent >= 0, "--recent: expected >= 0, got %s", recent);
    checkArgument(
        captions.isPresent() == folder.isPresent(),
        "--captions: expected --pictures with it, and the reverse");
    if (captions.isPresent()) {
      checkArgument(images.isEmpty(), "--captions: expected no --image with it");
      checkArgument(
          texts.size() == 1 && ids.length == 0 && places(texts.get(0)) <= 1,
          "--captions: expected one --prompt with it, for one picture at a time");
    } else if (isPresent()) {
      checkArgument(
          !texts.isEmpty() || ids.length > 0,
          "--image: expected --prompt or --prompt-ids with it: what is asked of the pictures");
    } else {
      checkArgument(texts.isEmpty() && ids.length == 0, "--prompt: expected --image with it");
    }
  }

  /** All prompts; the pictures of each are read and encoded when it is asked for. */
  List<Supplier<ImagePrompt>> of(TextModel open) {
    checkArgument(
        open.model().vision().isPresent(), "--image: %s reads text only", open.model().folder());
    if (captions.isPresent()) {
      return captioned(open);
    }
    int token = open.model().vision().get().imageToken();
    List<Supplier<ImagePrompt>> prompts = new ArrayList<>();
    for (String text : texts) {
      String whole = placed(text);
      for (List<Path> taken : inTurn("--prompt", places(whole))) {
        prompts.add(() -> open.imagePrompt("--prompt", whole, pictures(taken)));
      }
    }
    if (ids.length > 0) {
      int places = (int) Arrays.stream(ids).filter(id -> id == token).count();
      for (List<Path> taken : inTurn("--prompt-ids", places)) {
        prompts.add(() -> open.model().imagePrompt(ids, pictures(taken)));
      }
    }
    return prompts;
  }

  private List<Supplier<ImagePrompt>> captioned(TextModel open) {
    List<Supplier<ImagePrompt>> prompts = new ArrayList<>();
    for (CaptionedPicture line : CaptionedPicture.read(folder.get(), captions.get())) {
      String text = placed(texts.get(0)) + " " + String.join(", ", line.names());
      prompts.add(() -> open.imagePrompt("--prompt", text, pictures(List.of(line.picture()))));
    }
    return prompts;
  }

  private static List<RgbImage> pictures(List<Path> files) {
    return files.stream().map(RgbImage::read).toList();
  }

  private static int places(String text) {
    return text.split(ImagePrompt.PLACEHOLDER, -1).length - 1;
  }

  /** With a picture before a text that has none. */
  private static String placed(String text) {
    return places(text) > 0 ? text : ImagePrompt.PLACEHOLDER + text;
  }

  private List<List<Path>> inTurn(String option, int places) {
    checkArgument(
        places > 0 && images.size() % places == 0,
        "%s: expected places for pictures, a divisor of the %s given, got %s",
        option,
        images.size(),
        places);
    List<List<Path>> parts = new ArrayList<>();
    for (int from = 0; from < images.size(); from += places) {
      parts.add(images.subList(from, from + places));
    }
    return parts;
  }
}
