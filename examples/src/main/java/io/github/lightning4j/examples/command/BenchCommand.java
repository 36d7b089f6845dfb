package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.MiniMaxModel;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax bench}: how fast a model reads and writes on this machine. */
@Command(
    name = "bench",
    sortOptions = false,
    description = {
      "Measure tokens a second, reading prompts and writing behind them.",
      "Tokens are random with a fixed seed; one sequence; medians, and ranges, over the repeats"
          + " after a warm-up."
    })
final class BenchCommand implements Runnable {
  private final Console console;

  @Mixin private ModelOptions model = new ModelOptions();

  @Option(
      names = "--prefill",
      paramLabel = "N",
      split = ",",
      defaultValue = "512,2048",
      description = "Prompt lengths, separated by commas (${DEFAULT-VALUE}).")
  private int[] contexts = {};

  @Option(
      names = "--decode",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens to write behind each prompt (${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--repeats",
      paramLabel = "N",
      defaultValue = "3",
      description = "Measurements of each (${DEFAULT-VALUE}).")
  private int repeats;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  BenchCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    for (int context : contexts) {
      checkArgument(context >= 1, "--prefill: expected >= 1, got %s", context);
    }
    checkArgument(steps >= 1, "--decode: expected >= 1, got %s", steps);
    checkArgument(repeats >= 1, "--repeats: expected >= 1, got %s", repeats);
    try (MiniMaxModel open = model.load(console.unwatched(json))) {
      List<SpeedRun> runs = new ArrayList<>();
      for (int context : contexts) {
        runs.add(SpeedRun.measure(open, context, steps, repeats));
      }
      if (json) {
        console.json(describe(runs));
      } else {
        print(runs);
      }
    }
  }

  private static ObjectNode describe(List<SpeedRun> runs) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    ArrayNode list = node.putArray("runs");
    for (SpeedRun run : runs) {
      ObjectNode entry = list.addObject().put("context", run.context());
      add(entry, "prefill", run.prefill());
      add(entry, "decode", run.decode());
    }
    PeakMemory.addTo(node);
    return node;
  }

  private static void add(ObjectNode entry, String what, Spread spread) {
    entry.put(what + "TokensPerSecond", spread.median());
    entry.putArray(what + "Range").add(spread.min()).add(spread.max());
  }

  private void print(List<SpeedRun> runs) {
    console.out().printf("%8s  %34s  %34s%n", "context", "prefill tokens/s", "decode tokens/s");
    for (SpeedRun run : runs) {
      console
          .out()
          .printf("%8d  %34s  %34s%n", run.context(), text(run.prefill()), text(run.decode()));
    }
    PeakMemory.bytes().ifPresent(bytes -> console.out().printf("peak memory %,d bytes%n", bytes));
    console.out().println("threads " + Threads.count());
  }

  private static String text(Spread spread) {
    return String.format(
        Locale.ROOT, "%,.1f (%,.1f to %,.1f)", spread.median(), spread.min(), spread.max());
  }
}
