package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.ImagePrompt;
import io.github.lightning4j.minimax.KvCalibration;
import io.github.lightning4j.vlmquant.LayerPattern;
import io.github.lightning4j.vlmquant.SalienceCalibrator;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.function.Supplier;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax calibrate}: what quantized caches must know of a model. */
@Command(
    name = "calibrate",
    sortOptions = false,
    description = {
      "Learn from a text what quantized key-value caches must know of the model's keys and values;"
          + " from pictures, which of its layers look at text (for akvq). The file serves this"
          + " model alone.",
      "The text is cut at a share of its tokens: the first part is read, in windows of W tokens;"
          + " the rest stays for measuring. Without a text all is learned from the pictures."
    })
final class CalibrateCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Mixin private SplitText text = new SplitText();

  @Mixin private PicturePrompts pictures = new PicturePrompts();

  @Option(
      names = "--out",
      paramLabel = "FILE",
      required = true,
      description = "Where to: a safetensors file.")
  private Path out = Path.of("");

  CalibrateCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    pictures.check();
    text.check(pictures.isPresent());
    try (TextModel open = TextModel.open(model, console)) {
      Optional<Calibration> fromText =
          text.isPresent() ? Optional.of(readText(open)) : Optional.empty();
      Calibration made = pictures.isPresent() ? readPictures(open, fromText) : fromText.get();
      CalibrationFile.write(out, made);
      console
          .err()
          .printf(
              Locale.ROOT,
              "wrote the calibration of %d layers over %,d tokens of %s to %s%n",
              made.layers().size(),
              made.source().tokens(),
              made.source().corpus(),
              out);
      if (pictures.isPresent()) {
        console.err().println("layers: " + patterns(made));
      }
    }
  }

  private Calibration readText(TextModel open) {
    SplitText.Parts parts = text.read(open);
    checkArgument(
        parts.train().length > 0,
        "--train-share: expected a token or more to calibrate with, got none of %s",
        parts.heldOut().length);
    try (ProgressLine bar = new ProgressLine("Reading the text", console.terminal())) {
      return KvCalibration.of(open.model(), parts.train(), parts.window(), text.corpus(), bar);
    }
  }

  private Calibration readPictures(TextModel open, Optional<Calibration> fromText) {
    try (ProgressLine bar = new ProgressLine("Reading the pictures", console.terminal())) {
      List<Supplier<ImagePrompt>> prompts = pictures.of(open);
      int recent = pictures.recent();
      return fromText.isPresent()
          ? KvCalibration.withSalience(fromText.get(), open.model(), prompts, recent, bar)
          : KvCalibration.of(open.model(), prompts, recent, pictures.corpus(), bar);
    }
  }

  /** The patterns of layers that have a cache, with what was measured. */
  private static String patterns(Calibration made) {
    List<LayerPattern> patterns = SalienceCalibrator.patterns(made, LayerPattern.THRESHOLD);
    List<String> all = new ArrayList<>();
    for (int i = 0; i < patterns.size(); i++) {
      String name = patterns.get(i) == LayerPattern.TEXT_SALIENT ? "TSA" : "PSA";
      double salience = made.layers().get(i).textSalience().orElseThrow();
      all.add(String.format(Locale.ROOT, "%s (%.2f)", name, salience));
    }
    return String.join(", ", all);
  }
}
