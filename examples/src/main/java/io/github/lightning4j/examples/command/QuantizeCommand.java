package io.github.lightning4j.examples.command;

import io.github.lightning4j.minimax.Checkpoint;
import io.github.lightning4j.minimax.WeightFormats;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code minimax quantize}: a checkpoint with weights of fewer bits, that opens at once. */
@Command(
    name = "quantize",
    sortOptions = false,
    description = {
      "Write a checkpoint whose weights are quantized already.",
      "It is mapped when it is opened, and gives what --weights gives with the original, bit for"
          + " bit. Config and tokenizer are copied along."
    })
final class QuantizeCommand implements Runnable {
  private final Console console;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Checkpoint folder. Without it: the embedded minimax-nano.")
  private @Nullable Path folder;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      required = true,
      description = "Where to: a new folder, or an empty one.")
  private Path out = Path.of("");

  @Option(
      names = "--weights",
      paramLabel = "FORMATS",
      required = true,
      description =
          "bf16, int8 or int4, for all roles or for single ones, as in"
              + " int4,head=int8,embedding=bf16.")
  private String weights = "";

  QuantizeCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    WeightFormats formats = WeightFormats.parse(weights);
    Checkpoint.checkNew(out);
    Path from = folder == null ? EmbeddedModel.ofThisProgram(console.err()).folder() : folder;
    try (ProgressLine bar = new ProgressLine("Quantizing", console.terminal());
        Checkpoint checkpoint = Checkpoint.open(from, formats, bar)) {
      checkpoint.save(out);
    }
    console.err().println("wrote weights as " + formats + " to " + out);
  }
}
