package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.minimax.ModelReport;
import java.nio.file.Path;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code minimax inspect}: what a checkpoint is and needs, shards or no shards. */
@Command(
    name = "inspect",
    sortOptions = false,
    description = {
      "Tell what a checkpoint is and what it needs.",
      "Reads config and index only; shards may be missing, and then are named."
    })
final class InspectCommand implements Runnable {
  private final Console console;

  @Option(
      names = "--model",
      paramLabel = "DIR",
      description = "Checkpoint folder. Without it: the embedded minimax-nano.")
  private @Nullable Path folder;

  @Option(
      names = "--bandwidth",
      paramLabel = "GB/s",
      defaultValue = "460",
      description = "Memory bandwidth to tell the decode floor for (${DEFAULT-VALUE}).")
  private double bandwidth;

  @Option(
      names = "--gpus",
      paramLabel = "N",
      description =
          "Tell what each of N GPUs holds that share the experts out (--expert-parallel).")
  private Optional<Integer> gpus = Optional.empty();

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  InspectCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    checkArgument(bandwidth > 0, "--bandwidth: expected > 0 GB/s, got %s", bandwidth);
    Path from = folder == null ? EmbeddedModel.ofThisProgram(console.err()).folder() : folder;
    ReportOutput output = new ReportOutput(ModelReport.inspect(from), bandwidth, gpus);
    if (json) {
      console.json(output.json());
    } else {
      output.print(console.out());
    }
  }
}
