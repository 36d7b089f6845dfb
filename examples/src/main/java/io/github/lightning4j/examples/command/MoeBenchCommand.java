package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.MpiCommunicator;
import io.github.lightning4j.moe.comm.ThreadCommunicator;
import io.github.lightning4j.moe.parallel.ExpertParallelism;
import io.github.lightning4j.moe.parallel.ParallelOptions;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** {@code minimax moe-bench}: one layer of experts on one rank or many. */
@Command(
    name = "moe-bench",
    sortOptions = false,
    description = {
      "Measure one layer of experts, on one rank or spread over many.",
      "Ranks are processes under mpirun, else threads. Weights and tokens are random with a fixed"
          + " seed; medians, and ranges, over the repeats after a warm-up."
    })
final class MoeBenchCommand implements Callable<Integer> {
  private final Console console;

  @Mixin private MoeLayerOptions layer = new MoeLayerOptions();

  @Option(
      names = "--ep",
      paramLabel = "N",
      description =
          "Ranks that share the experts. Without it: 1, under mpirun what the ranks give.")
  private Optional<Integer> ep = Optional.empty();

  @Option(
      names = "--etp",
      paramLabel = "N",
      defaultValue = "1",
      description = "Ranks that cut each expert (${DEFAULT-VALUE}).")
  private int etp;

  @Option(
      names = "--edp",
      paramLabel = "N",
      defaultValue = "1",
      description = "Repetitions of all experts (${DEFAULT-VALUE}).")
  private int edp;

  @Option(
      names = "--token-groups",
      paramLabel = "N",
      defaultValue = "1",
      description = "Groups of tokens that travel while others are computed (${DEFAULT-VALUE}).")
  private int tokenGroups;

  @Option(
      names = "--capacity",
      paramLabel = "X",
      description = "Capacity factor. Without it: nothing is dropped.")
  private Optional<Double> capacity = Optional.empty();

  @Option(
      names = "--global-router",
      description = "Let repetitions take what is over the capacity of others.")
  private boolean globalRouter;

  @Option(
      names = "--repeats",
      paramLabel = "N",
      defaultValue = "5",
      description = "Measurements (${DEFAULT-VALUE}).")
  private int repeats;

  @Option(
      names = "--threads",
      paramLabel = "N",
      description = "Threads of each process. Without it: one a processor.")
  private Optional<Integer> threads = Optional.empty();

  @Option(
      names = "--baseline",
      description = "Measure one rank with all tokens too, and tell the ratio; ranks are threads.")
  private boolean baseline;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  MoeBenchCommand(Console console) {
    this.console = console;
  }

  @Override
  public Integer call() throws Exception {
    checkArgument(repeats >= 1, "--repeats: expected >= 1, got %s", repeats);
    threads.ifPresent(Threads::use);
    MoeShape shape = layer.shape();
    ParallelOptions options = options();
    if (MpiCommunicator.isLaunched()) {
      checkArgument(!baseline, "--baseline: expected ranks that are threads; run mpirun -n 1 too");
      MpiCommunicator.run(world -> measure(world, shape, options, null));
    } else {
      int ranks = new ExpertParallelism(ep.orElse(1), etp, edp).ranks();
      MoeRun single = baseline ? single(shape) : null;
      ThreadCommunicator.run(ranks, world -> measure(world, shape, options, single));
    }
    return 0;
  }

  /** One rank with all tokens, which drops nothing. */
  private MoeRun single(MoeShape shape) {
    AtomicReference<MoeRun> run = new AtomicReference<>();
    ThreadCommunicator.run(
        1,
        world ->
            run.set(
                MoeRun.measure(
                    world, ExpertParallelism.of(1), shape, ParallelOptions.DEFAULT, repeats)));
    return run.get();
  }

  private ParallelOptions options() {
    ParallelOptions options = ParallelOptions.DEFAULT.withTokenGroups(tokenGroups);
    if (capacity.isEmpty()) {
      checkArgument(!globalRouter, "--global-router: expected --capacity with it");
      return options;
    }
    Capacity limit = Capacity.ofFactor(capacity.get());
    return globalRouter ? options.withGlobalRouter(limit) : options.withCapacity(limit);
  }

  private void measure(
      Communicator world, MoeShape shape, ParallelOptions options, @Nullable MoeRun single) {
    int all = ep.orElseGet(() -> Math.max(1, world.size() / Math.max(1, etp * edp)));
    ExpertParallelism sizes = new ExpertParallelism(all, etp, edp);
    MoeRun run = MoeRun.measure(world, sizes, shape, options, repeats);
    if (world.rank() == 0 && json) {
      console.json(describe(sizes, shape, run, single));
    } else if (world.rank() == 0) {
      print(sizes, shape, run, single);
    }
  }

  private static double speedup(MoeRun run, MoeRun single) {
    return single.milliseconds().median() / run.milliseconds().median();
  }

  private static ObjectNode describe(
      ExpertParallelism sizes, MoeShape shape, MoeRun run, @Nullable MoeRun single) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("ranks", sizes.ranks()).put("ep", sizes.ep());
    node.put("etp", sizes.etp()).put("edp", sizes.edp());
    node.put("tokens", shape.tokens()).put("format", shape.format());
    add(node, "forwardMilliseconds", run.milliseconds());
    add(node, "tokensPerSecond", run.tokensPerSecond());
    add(node, "communicationShare", run.communication());
    node.put("imbalance", run.imbalance()).put("fractionDropped", run.dropped());
    if (single != null) {
      add(node, "singleRankMilliseconds", single.milliseconds());
      node.put("speedup", speedup(run, single));
    }
    return node;
  }

  private static void add(ObjectNode node, String what, Spread spread) {
    node.put(what, spread.median());
    node.putArray(what + "Range").add(spread.min()).add(spread.max());
  }

  private void print(ExpertParallelism sizes, MoeShape shape, MoeRun run, @Nullable MoeRun single) {
    line(
        "ranks",
        "%d = ep %d x etp %d x edp %d",
        sizes.ranks(),
        sizes.ep(),
        sizes.etp(),
        sizes.edp());
    line(
        "layer",
        "%d tokens, hidden %d, %d experts, top-%d, intermediate %d, %s",
        shape.tokens(),
        shape.hidden(),
        shape.experts(),
        shape.topK(),
        shape.intermediate(),
        shape.format());
    line("forward", "%s ms", text(run.milliseconds(), 1));
    line("tokens", "%s a second", text(run.tokensPerSecond(), 1));
    line("communication", "%s %% of the time", text(run.communication(), 100));
    line("imbalance", "%.3f, the busiest rank over the mean", run.imbalance());
    line("dropped", "%.2f %% of the choices", 100 * run.dropped());
    if (single != null) {
      line("one rank", "%s ms", text(single.milliseconds(), 1));
      line("speedup", "%.2f times one rank", speedup(run, single));
    }
    line("threads", "%d a process", Threads.count());
  }

  private void line(String name, String format, Object... values) {
    console.out().printf("%-14s  %s%n", name, String.format(Locale.ROOT, format, values));
  }

  private static String text(Spread spread, double times) {
    return String.format(
        Locale.ROOT,
        "%,.2f (%,.2f to %,.2f)",
        times * spread.median(),
        times * spread.min(),
        times * spread.max());
  }
}
