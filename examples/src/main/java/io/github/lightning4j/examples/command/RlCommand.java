package io.github.lightning4j.examples.command;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.examples.learning.Comparison;
import io.github.lightning4j.examples.learning.Curves;
import io.github.lightning4j.examples.learning.Recipe;
import io.github.lightning4j.examples.learning.RewardPlot;
import io.github.lightning4j.examples.learning.TrainingPlan;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.IntSummaryStatistics;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code minimax rl}: a small policy that learns to sort, under GRPO, DAPO and CISPO. */
@Command(
    name = "rl",
    sortOptions = false,
    description = {
      "Train small policies with GRPO, DAPO and CISPO and compare how they learn.",
      "The task is to sort four digits, with a reward for the whole answer only. Each rollout is"
          + " used for up to 16 updates, so all but the first are off-policy."
    })
final class RlCommand implements Runnable {
  /** How near the best final reward a curve must come to count as having learned. */
  private static final double NEAR = 0.9;

  private final Console console;

  @Option(
      names = "--seeds",
      paramLabel = "N",
      defaultValue = "5",
      description = "Trainings of each loss (${DEFAULT-VALUE}).")
  private int seeds;

  @Option(
      names = "--rollouts",
      paramLabel = "N",
      defaultValue = "100",
      description = "Rollouts of a training, up to 16 updates each (${DEFAULT-VALUE}).")
  private int rollouts;

  @Option(
      names = "--plot",
      paramLabel = "FILE",
      description = "Draw reward against updates into a PNG.")
  private @Nullable Path plot;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  RlCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    checkArgument(seeds >= 1, "--seeds: expected >= 1, got %s", seeds);
    checkArgument(rollouts >= 1, "--rollouts: expected >= 1, got %s", rollouts);
    if (plot != null) {
      Path folder = plot.toAbsolutePath().getParent();
      checkArgument(
          folder != null && Files.isDirectory(folder), "--plot: no such folder: %s", folder);
    }
    TrainingPlan plan = TrainingPlan.DEFAULT.withRollouts(rollouts);
    Comparison comparison = new Comparison(plan, Recipe.ALL, seeds);
    List<Curves> curves;
    try (ProgressLine bar = new ProgressLine("Training", console.unwatched(json).terminal())) {
      curves =
          comparison.run(
              done -> {
                synchronized (bar) {
                  bar.progress(done, comparison.trainings());
                }
              });
    }
    double best = curves.stream().mapToDouble(Curves::finalMean).max().orElseThrow();
    if (json) {
      console.json(describe(curves, best));
    } else {
      print(curves, best);
    }
    draw(curves);
  }

  private void draw(List<Curves> curves) {
    if (plot == null) {
      return;
    }
    try {
      RewardPlot.write(curves, "sorting four digits, " + seeds + " seeds", plot);
    } catch (IOException e) {
      throw new IllegalArgumentException("--plot: " + plot + " cannot be written (" + e + ")", e);
    }
  }

  private void print(List<Curves> curves, double best) {
    console
        .out()
        .printf(
            Locale.ROOT,
            "%-6s  %-16s  updates to %.3f, %.0f %% of the best%n",
            "loss",
            "final reward",
            NEAR * best,
            100 * NEAR);
    for (Curves of : curves) {
      int[] updates = of.updatesTo(NEAR * best);
      IntSummaryStatistics range = Arrays.stream(updates).summaryStatistics();
      String reached =
          updates.length == 0
              ? "not reached"
              : String.format(
                  Locale.ROOT,
                  "%.0f (%d to %d, %d of %d seeds)",
                  range.getAverage(),
                  range.getMin(),
                  range.getMax(),
                  updates.length,
                  seeds);
      console
          .out()
          .printf(
              Locale.ROOT,
              "%-6s  %.3f +- %.3f    %s%n",
              of.recipe(),
              of.finalMean(),
              of.finalDeviation(),
              reached);
    }
  }

  private static ObjectNode describe(List<Curves> curves, double best) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("threshold", NEAR * best);
    ArrayNode losses = node.putArray("losses");
    for (Curves of : curves) {
      ObjectNode loss = losses.addObject();
      loss.put("name", of.recipe());
      loss.put("finalReward", of.finalMean());
      loss.put("finalDeviation", of.finalDeviation());
      ArrayNode reached = loss.putArray("updatesToThreshold");
      Arrays.stream(of.updatesTo(NEAR * best)).forEach(reached::add);
      ArrayNode updates = loss.putArray("updates");
      ArrayNode mean = loss.putArray("meanReward");
      ArrayNode deviation = loss.putArray("deviation");
      for (int p = 0; p < of.points(); p++) {
        updates.add(of.meanUpdates(p));
        mean.add(of.mean(p));
        deviation.add(of.deviation(p));
      }
    }
    return node;
  }
}
