package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Optional;
import picocli.CommandLine.Option;

/** A text of which one part is for calibration and the rest for measuring. */
final class SplitText {
  @Option(names = "--text", paramLabel = "FILE", description = "UTF-8 text.")
  private Optional<Path> file = Optional.empty();

  @Option(
      names = "--train-share",
      paramLabel = "S",
      defaultValue = "0.5",
      description =
          "Share of the tokens, from the first on, to calibrate with; nothing is measured on them"
              + " (${DEFAULT-VALUE}).")
  private double share;

  @Option(
      names = "--window",
      paramLabel = "W",
      defaultValue = "512",
      description = "Tokens a window, at most the context (${DEFAULT-VALUE}).")
  private int window;

  /**
   * The text as ids.
   *
   * @param train to calibrate with
   * @param heldOut to measure on
   * @param window tokens a window
   */
  record Parts(int[] train, int[] heldOut, int window) {}

  /** Whether there is one. */
  boolean isPresent() {
    return file.isPresent();
  }

  /**
   * Checks what can be checked without a model.
   *
   * @param other whether something else can be read in its place
   */
  void check(boolean other) {
    checkArgument(isPresent() || other, "expected --text, or --image with --prompt");
    checkArgument(share >= 0 && share <= 1, "--train-share: expected 0 to 1, got %s", share);
    checkArgument(window >= 2, "--window: expected >= 2, got %s", window);
  }

  /** Reads and cuts it. */
  Parts read(TextModel open) {
    int context = open.model().config().maxPositions();
    checkArgument(
        window <= context, "--window: expected <= %s (the context), got %s", context, window);
    int[] ids = open.encode("--text", InputFile.text("--text", file.orElseThrow()));
    int train = (int) Math.round(share * ids.length);
    return new Parts(Arrays.copyOf(ids, train), Arrays.copyOfRange(ids, train, ids.length), window);
  }

  /** What the text is called. */
  String corpus() {
    return file.orElseThrow().getFileName().toString();
  }
}
