package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.DeviceSlice;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.SliceCost;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.function.IntToDoubleFunction;

/**
 * A slice of the released model on a GPU, and what the whole model would do on several: each of
 * them with its share of the bytes, at the rate of the slice, and nothing lost between them.
 *
 * @param layers of the slice
 * @param weights the format of its matrices
 * @param caches the format of keys and values
 * @param bytesPerSecond what the GPU copies
 * @param repeats measurements of each
 * @param runs one for each context
 * @param leftOut what does not fit the GPU, and why
 */
record SliceBench(
    int layers,
    String weights,
    String caches,
    double bytesPerSecond,
    int repeats,
    List<Run> runs,
    List<String> leftOut) {
  /** Contexts where none are asked for. */
  static final int[] CONTEXTS = {1024, 32768, 262144};

  /** Sequences decoded together where none are asked for. */
  static final int[] BATCHES = {1, 8, 32};

  private static final int WHOLE = 80;

  private static final int GPUS = 8;

  /**
   * At one context.
   *
   * @param prefillSeconds of a prompt of as many tokens; NaN where it does not fit
   * @param steps for each number of sequences
   */
  record Run(int context, double prefillSeconds, List<Step> steps) {
    double prefillTokensPerSecond() {
      return context / prefillSeconds;
    }
  }

  /**
   * A decode step.
   *
   * @param seconds it takes
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

  /**
   * Measures medians.
   *
   * @param chunk tokens of a prompt that are read at once
   * @param steps that count
   */
  static SliceBench measure(
      DeviceSlice slice, int[] contexts, int[] batches, int chunk, int steps, int repeats) {
    SliceCost cost = new SliceCost(slice.config(), slice.format(), slice.caches());
    SliceCost whole = new SliceCost(MiniMaxConfig.m1(WHOLE), slice.format(), slice.caches());
    double rate = slice.copyBytesPerSecond();
    List<Run> runs = new ArrayList<>();
    List<String> leftOut = new ArrayList<>();
    for (int context : contexts) {
      String where = "context " + context;
      double prefill =
          median(
              where + ", prefill",
              leftOut,
              repeats,
              i -> {
                if (i == 0) {
                  slice.prefillSeconds(Math.min(context, chunk), chunk);
                }
                return slice.prefillSeconds(context, chunk);
              });
      List<Step> all = new ArrayList<>();
      for (int batch : batches) {
        double seconds =
            median(
                where + ", batch " + batch,
                leftOut,
                repeats,
                i -> slice.decodeSeconds(batch, context, steps));
        if (!Double.isNaN(seconds)) {
          double bytes = cost.stepBytes(batch, context);
          all.add(new Step(batch, seconds, bytes, whole.stepBytes(batch, context)));
        }
      }
      runs.add(new Run(context, prefill, all));
    }
    return new SliceBench(
        slice.config().layers().size(),
        slice.format().toString(),
        slice.caches().name(),
        rate,
        repeats,
        runs,
        leftOut);
  }

  /** The median of measurements, NaN where they do not fit. */
  private static double median(
      String what, List<String> leftOut, int count, IntToDoubleFunction seconds) {
    try {
      double[] all = new double[count];
      for (int i = 0; i < count; i++) {
        all[i] = seconds.applyAsDouble(i);
      }
      return Spread.of(all).median();
    } catch (PageBudgetException | CudaOutOfMemoryException e) {
      leftOut.add(what + ": " + e.getMessage());
      return Double.NaN;
    }
  }

  void print(PrintWriter out) {
    out.printf(
        Locale.ROOT,
        "%d layers of MiniMax-M1 in %s, keys and values in %s; the GPU copies %.0f GB/s; medians of %d%n",
        layers,
        weights,
        caches,
        bytesPerSecond / 1e9,
        repeats);
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
            run.prefillTokensPerSecond(),
            1e3 * step.seconds(),
            100 * step.shareOf(bytesPerSecond),
            step.projected(),
            step.roofline(bytesPerSecond));
      }
    }
    leftOut.forEach(one -> out.println("left out: " + one));
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode().put("layers", layers);
    node.put("weights", weights).put("caches", caches).put("copyBytesPerSecond", bytesPerSecond);
    node.put("repeats", repeats);
    ArrayNode list = node.putArray("runs");
    for (Run run : runs) {
      for (Step step : run.steps()) {
        ObjectNode entry =
            list.addObject().put("context", run.context()).put("sequences", step.sequences());
        if (!Double.isNaN(run.prefillSeconds())) {
          entry.put("prefillTokensPerSecond", run.prefillTokensPerSecond());
        }
        entry
            .put("stepSeconds", step.seconds())
            .put("shareOfBytes", step.shareOf(bytesPerSecond))
            .put("projectedTokensPerSecond", step.projected())
            .put("rooflineTokensPerSecond", step.roofline(bytesPerSecond));
      }
    }
    leftOut.forEach(node.putArray("leftOut")::add);
    return node;
  }
}
