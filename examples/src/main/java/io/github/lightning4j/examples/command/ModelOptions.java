package io.github.lightning4j.examples.command;

import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.LoadOptions;
import io.github.lightning4j.minimax.MiniMaxModel;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Which model, and how it runs. */
final class ModelOptions {
  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Checkpoint folder. Without it: the embedded minimax-nano.")
  private @Nullable Path folder;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads to compute with. Without it: one a processor.")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--check-weights",
      description = "Read all weights first and refuse NaN and infinity.")
  private boolean checkWeights;

  /** Whether the embedded model is meant. */
  boolean isEmbedded() {
    return folder == null;
  }

  /** The checkpoint folder. */
  Path folder(Console console) {
    return folder == null ? EmbeddedModel.ofThisProgram(console.err()).folder() : folder;
  }

  /** Loads the model; the caller closes it. */
  MiniMaxModel load(Console console) {
    return load(folder(console), console);
  }

  /** Loads the model of a folder; the caller closes it. */
  MiniMaxModel load(Path from, Console console) {
    threads.ifPresent(Threads::use);
    try (ProgressLine bar = new ProgressLine("Checking weights", console.terminal())) {
      return MiniMaxModel.load(
          from, LoadOptions.DEFAULT.withCheckWeights(checkWeights).withProgress(bar));
    }
  }
}
