package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.DeviceSlice;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.SliceCost;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * A slice of the released model on a GPU, and what the whole model would do on several: each of
 * them with its share of the bytes, at the rate of the slice, and nothing lost between them.
 *
 * @param layers of the slice
 * @param weights the format of its matrices
 * @param bytesPerSecond what the GPU copies
 * @param runs one for each context
 */
record SliceBench(int layers, String weights, double bytesPerSecond, List<Run> runs) {
  /** Sequences decoded together. */
  private static final int[] BATCHES = {1, 8, 32};

  private static final int WHOLE = 80;

  private static final int GPUS = 8;

  /**
   * At one context.
   *
   * @param prefillSeconds of a prompt of as many tokens
   * @param steps for each number of sequences
   */
  record Run(int context, double prefillSeconds, List<Step> steps) {}

  /**
   * A decode step.
   *
   * @param seconds NaN where it does not fit
   * @param bytes it moves at least
   * @param wholeBytes those of the whole model
   */
  record Step(int sequences, double seconds, double bytes, double wholeBytes) {
    double shareOf(double bytesPerSecond) {
      return bytes / seconds / bytesPerSecond;
    }

    /** Tokens a second of the whole model. */
    double projected() {
      return sequences * GPUS * bytes / (seconds * wholeBytes);
    }

    /** The same if nothing but the bytes counted. */
    double roofline(double bytesPerSecond) {
      return sequences * GPUS * bytesPerSecond / wholeBytes;
    }
  }

  /** Measures medians. */
  static SliceBench measure(DeviceSlice slice, int[] contexts, int chunk, int steps, int repeats) {
    SliceCost cost = new SliceCost(slice.config(), slice.format());
    SliceCost whole = new SliceCost(MiniMaxConfig.m1(WHOLE), slice.format());
    double rate = slice.copyBytesPerSecond();
    List<Run> runs = new ArrayList<>();
    for (int context : contexts) {
      double[] prefill = new double[repeats];
      slice.prefillSeconds(Math.min(context, chunk), chunk);
      for (int i = 0; i < repeats; i++) {
        prefill[i] = slice.prefillSeconds(context, chunk);
      }
      List<Step> all = new ArrayList<>();
      for (int batch : BATCHES) {
        double seconds = stepSeconds(slice, batch, context, steps, repeats);
        all.add(
            new Step(
                batch, seconds, cost.stepBytes(batch, context), whole.stepBytes(batch, context)));
      }
      runs.add(new Run(context, Spread.of(prefill).median(), all));
    }
    return new SliceBench(slice.config().layers().size(), slice.format().toString(), rate, runs);
  }

  /** NaN where the keys and values of so many sequences do not fit. */
  private static double stepSeconds(
      DeviceSlice slice, int batch, int context, int steps, int repeats) {
    double[] seconds = new double[repeats];
    try {
      for (int i = 0; i < repeats; i++) {
        seconds[i] = slice.decodeSeconds(batch, context, steps);
      }
      return Spread.of(seconds).median();
    } catch (PageBudgetException e) {
      return Double.NaN;
    }
  }

  void print(PrintWriter out) {
    out.printf(
        Locale.ROOT,
        "%d layers of MiniMax-M1 in %s; the GPU copies %.0f GB/s%n",
        layers,
        weights,
        bytesPerSecond / 1e9);
    out.printf(
        "%8s %6s %12s %10s %8s %22s %18s%n",
        "context",
        "batch",
        "prefill t/s",
        "step ms",
        "of bytes",
        WHOLE + " layers, " + GPUS + " GPUs t/s",
        "their roofline t/s");
    for (Run run : runs) {
      for (Step step : run.steps()) {
        out.printf(
            Locale.ROOT,
            "%8d %6d %12.0f %10.3f %7.0f%% %22.0f %18.0f%n",
            run.context(),
            step.sequences(),
            run.context() / run.prefillSeconds(),
            1e3 * step.seconds(),
            100 * step.shareOf(bytesPerSecond),
            step.projected(),
            step.roofline(bytesPerSecond));
      }
    }
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode().put("layers", layers);
    node.put("weights", weights).put("copyBytesPerSecond", bytesPerSecond);
    ArrayNode list = node.putArray("runs");
    for (Run run : runs) {
      for (Step step : run.steps()) {
        list.addObject()
            .put("context", run.context())
            .put("sequences", step.sequences())
            .put("prefillTokensPerSecond", run.context() / run.prefillSeconds())
            .put("stepSeconds", step.seconds())
            .put("shareOfBytes", step.shareOf(bytesPerSecond))
            .put("projectedTokensPerSecond", step.projected())
            .put("rooflineTokensPerSecond", step.roofline(bytesPerSecond));
      }
    }
    return node;
  }
}
