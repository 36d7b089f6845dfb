package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.CalibrationFile;
import io.github.lightning4j.minimax.KvCalibration;
import java.nio.file.Path;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax calibrate}: what quantized caches must know of a model. */
@Command(
    name = "calibrate",
    sortOptions = false,
    description = {
      "Learn from a text what quantized key-value caches must know of the model's keys and values.",
      "The text is cut at a share of its tokens: the first part is read, in windows of W tokens;"
          + " the rest stays for measuring. The file serves this model alone."
    })
final class CalibrateCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Mixin private SplitText text = new SplitText();

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
    text.check();
    try (TextModel open = TextModel.open(model, console);
        ProgressLine bar = new ProgressLine("Reading the text", console.terminal())) {
      SplitText.Parts parts = text.read(open);
      checkArgument(
          parts.train().length > 0,
          "--train-share: expected a token or more to calibrate with, got none of %s",
          parts.heldOut().length);
      Calibration made =
          KvCalibration.of(open.model(), parts.train(), parts.window(), text.corpus(), bar);
      CalibrationFile.write(out, made);
      console
          .err()
          .printf(
              Locale.ROOT,
              "wrote the calibration of %d layers over %,d tokens of %s to %s%n",
              made.layers().size(),
              made.source().tokens(),
              text.corpus(),
              out);
    }
  }
}
