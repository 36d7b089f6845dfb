package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.DeviceSlice;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code minimax bench}: how fast a model reads and writes on this machine. */
@Command(
    name = "bench",
    sortOptions = false,
    description = {
      "Measure tokens a second, reading prompts and writing behind them.",
      "Tokens are random with a fixed seed; one sequence, or several beside it with --batch;"
          + " medians, and ranges, over the repeats"
          + " after a warm-up. Shares are of what the machine reads and multiplies at most, measured"
          + " here too."
    })
final class BenchCommand implements Runnable {
  private static final int[] CONTEXTS = {512, 2048};

  /** What only models that are loaded know. */
  private static final List<String> NOT_OF_A_SLICE =
      List.of(
          "--model", "--threads", "--mapped", "--check-weights", "--kv-calibration", "--budget");

  private final Console console;

  @Spec private CommandSpec spec;

  @Mixin private ModelOptions model = new ModelOptions();

  @Mixin private DeviceOptions device = new DeviceOptions();

  @Mixin private CacheOptions caches = new CacheOptions();

  @Option(
      names = "--prefill",
      paramLabel = "N",
      split = ",",
      description =
          "Prompt lengths, separated by commas. Without it: 512,2048; of a slice"
              + " 1024,32768,262144.")
  private int[] contexts = {};

  @Option(
      names = "--decode",
      paramLabel = "N",
      defaultValue = "64",
      description = "Tokens to write behind each prompt (${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--batch",
      paramLabel = "N",
      split = ",",
      description =
          "Sequences to decode together as well, each behind a prompt of its own; of a slice all"
              + " numbers to decode together, separated by commas. Without it: 1; of a slice 1,8,32.")
  private int[] batches = {};

  @Option(
      names = "--budget",
      paramLabel = "BYTES",
      description =
          "Measure this instead: as many sequences as caches of so many bytes have room for, decoded"
              + " together, in bf16 and as --kv says.")
  private Optional<Long> budget = Optional.empty();

  @Option(
      names = "--config",
      paramLabel = "NAME",
      description =
          "Measure this instead: m1-slice, the first --layers layers of MiniMax-M1 with random"
              + " weights on the GPU of --device, in --weights (int8 without it), with keys and"
              + " values as --kv says, at contexts of --prefill. What does not fit is left out.")
  private Optional<String> config = Optional.empty();

  @Option(
      names = "--layers",
      paramLabel = "N",
      defaultValue = "8",
      description = "Layers of the slice, 1 to 80 (${DEFAULT-VALUE}).")
  private int layers;

  @Option(
      names = "--prompt-tokens",
      paramLabel = "N",
      defaultValue = "262144",
      description =
          "Tokens that prompts of a slice have together at most (${DEFAULT-VALUE}); more are left out.")
  private long promptTokens;

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
    model.on(device.find());
    checkPositive("--prefill", contexts);
    checkPositive("--decode", steps);
    checkPositive("--batch", batches);
    checkPositive("--repeats", repeats);
    checkArgument(budget.orElse(1L) >= 1, "--budget: expected >= 1, got %s", budget.orElse(1L));
    Console to = console.unwatched(json);
    if (config.isPresent()) {
      slice(config.get());
      return;
    }
    for (String option : List.of("--layers", "--prompt-tokens")) {
      checkArgument(!isGiven(option), "%s: expected --config with it", option);
    }
    checkArgument(batches.length <= 1, "--batch: expected one number without --config");
    contexts = contexts.length == 0 ? CONTEXTS : contexts;
    int sequences = batches.length == 0 ? 1 : batches[0];
    if (budget.isPresent()) {
      compare(to, caches.format(to, model.device()), budget.get());
      return;
    }
    try (MiniMaxModel open = model.load(to, caches.format(to, model.device()))) {
      List<SpeedRun> runs = new ArrayList<>();
      for (int context : contexts) {
        runs.add(SpeedRun.measure(open, context, steps, repeats, sequences));
      }
      // The buffers of the limits are none of the model's memory.
      OptionalLong peakMemory = PeakMemory.bytes();
      Optional<MachineShare> share =
          open.options().device().equals(Device.CPU)
              ? MachineLimits.measure().map(limits -> MachineShare.of(open.stepCost(), limits))
              : Optional.empty();
      SpeedReport report = new SpeedReport(runs, share, peakMemory, repeats);
      if (json) {
        console.json(report.json());
      } else {
        report.print(console.out());
      }
    }
  }

  private static void checkPositive(String option, int... numbers) {
    for (int number : numbers) {
      checkArgument(number >= 1, "%s: expected >= 1, got %s", option, number);
    }
  }

  private boolean isGiven(String option) {
    return spec.commandLine().getParseResult().hasMatchedOption(option);
  }

  private void slice(String name) {
    checkArgument(name.equals("m1-slice"), "--config: expected m1-slice, got %s", name);
    for (String option : NOT_OF_A_SLICE) {
      checkArgument(!isGiven(option), "%s: does not apply to --config %s", option, name);
    }
    checkArgument(
        model.device().kind() == Device.Kind.CUDA, "--config: m1-slice needs --device cuda:N");
    try (DeviceSlice open =
        DeviceSlice.open(
            model.device(),
            MiniMaxConfig.m1(layers),
            model.format(),
            caches.format(model.device()),
            PageBudget.unlimited())) {
      SliceBench bench =
          SliceBench.measure(
              open,
              contexts.length == 0 ? SliceBench.CONTEXTS : contexts,
              batches.length == 0 ? SliceBench.BATCHES : batches,
              model.chunk(),
              promptTokens,
              steps,
              repeats);
      if (json) {
        console.json(bench.json());
      } else {
        bench.print(console.out());
      }
    }
  }

  /** Sequences that fit a budget, in 16 bits and in a format. */
  private void compare(Console to, KvCacheFormat format, long bytes) {
    Path folder = model.folder(to);
    List<BudgetComparison> all =
        BudgetComparison.measure(
            one -> model.load(folder, to, one, PageBudget.ofBytes(bytes)),
            format,
            contexts,
            steps,
            repeats);
    if (json) {
      console.json(BudgetComparison.json(all, bytes, repeats));
    } else {
      BudgetComparison.print(all, bytes, repeats, console.out());
    }
  }
}
