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

  /** What an H200 reads a second and does in bf16, of which published rooflines are made. */
  private static final double H200_BYTES = 4.8e12;

  private static final double H200_OPERATIONS = 989e12;

  /**
   * At one context.
   *
   * @param prompts for each number of sequences
   * @param steps for each number of sequences
   */
  record Run(int context, List<Prompts> prompts, List<Step> steps) {}

  /**
   * Prompts read together.
   *
   * @param tokens of all of them
   * @param seconds they take
   * @param operations of a token
   * @param wholeOperations those of the whole model
   */
  record Prompts(
      int sequences, long tokens, double seconds, double operations, double wholeOperations) {
    double tokensPerSecond() {
      return tokens / seconds;
    }

    double operationsPerSecond() {
      return tokensPerSecond() * operations;
    }

    /** Tokens a second of the whole model, at as many operations a second on each GPU. */
    double projected() {
      return GPUS * operationsPerSecond() / wholeOperations;
    }

    /** The same if nothing but the operations counted. */
    double roofline() {
      return GPUS * H200_OPERATIONS / wholeOperations;
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
   * @param chunk tokens of prompts that are read at once
   * @param mostTokens of prompts together that are measured
   * @param steps that count
   */
  static SliceBench measure(
      DeviceSlice slice,
      int[] contexts,
      int[] batches,
      int chunk,
      long mostTokens,
      int steps,
      int repeats) {
    SliceCost cost = new SliceCost(slice.config(), slice.format(), slice.caches());
    SliceCost whole = new SliceCost(MiniMaxConfig.m1(WHOLE), slice.format(), slice.caches());
    double rate = slice.copyBytesPerSecond();
    List<Run> runs = new ArrayList<>();
    List<String> leftOut = new ArrayList<>();
    for (int context : contexts) {
      String where = "context " + context;
      List<Prompts> prompts = new ArrayList<>();
      for (int batch : batches) {
        long tokens = (long) batch * context;
        String what = where + ", batch " + batch + ", prompts";
        if (tokens > mostTokens) {
          leftOut.add(what + ": " + tokens + " tokens together, --prompt-tokens " + mostTokens);
          continue;
        }
        double seconds =
            median(
                what,
                leftOut,
                repeats,
                i -> {
                  if (i == 0) {
                    slice.prefillSeconds(batch, Math.min(context, chunk), chunk);
                  }
                  return slice.prefillSeconds(batch, context, chunk);
                });
        if (!Double.isNaN(seconds)) {
          double operations = cost.promptOperations(context);
          prompts.add(
              new Prompts(batch, tokens, seconds, operations, whole.promptOperations(context)));
        }
      }
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
      runs.add(new Run(context, prompts, all));
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
    String whole = WHOLE + " layers, " + GPUS + " GPUs t/s";
    out.printf(
        "%8s %6s %10s %8s %22s %10s %12s%n",
        "context", "batch", "step ms", "of bytes", whole, "roofline", "of 8 H200");
    for (Run run : runs) {
      for (Step step : run.steps()) {
        out.printf(
            Locale.ROOT,
            "%8d %6d %10.3f %7.0f%% %22.0f %10.0f %12.0f%n",
            run.context(),
            step.sequences(),
            1e3 * step.seconds(),
            100 * step.shareOf(bytesPerSecond),
            step.projected(),
            step.roofline(bytesPerSecond),
            step.roofline(H200_BYTES));
      }
    }
    out.printf(
        "%8s %6s %12s %10s %22s %12s%n",
        "context", "batch", "prompts t/s", "TFLOP/s", whole, "of 8 H200");
    for (Run run : runs) {
      for (Prompts prompts : run.prompts()) {
        out.printf(
            Locale.ROOT,
            "%8d %6d %12.0f %10.1f %22.0f %12.0f%n",
            run.context(),
            prompts.sequences(),
            prompts.tokensPerSecond(),
            prompts.operationsPerSecond() / 1e12,
            prompts.projected(),
            prompts.roofline());
      }
    }
    leftOut.forEach(one -> out.println("left out: " + one));
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode().put("layers", layers);
    node.put("weights", weights).put("caches", caches).put("copyBytesPerSecond", bytesPerSecond);
    node.put("repeats", repeats);
    ArrayNode list = node.putArray("runs");
    ArrayNode read = node.putArray("prompts");
    for (Run run : runs) {
      for (Step step : run.steps()) {
        list.addObject()
            .put("context", run.context())
            .put("sequences", step.sequences())
            .put("stepSeconds", step.seconds())
            .put("shareOfBytes", step.shareOf(bytesPerSecond))
            .put("projectedTokensPerSecond", step.projected())
            .put("rooflineTokensPerSecond", step.roofline(bytesPerSecond))
            .put("h200RooflineTokensPerSecond", step.roofline(H200_BYTES));
      }
      for (Prompts prompts : run.prompts()) {
        read.addObject()
            .put("context", run.context())
            .put("sequences", prompts.sequences())
            .put("tokensPerSecond", prompts.tokensPerSecond())
            .put("operationsPerSecond", prompts.operationsPerSecond())
            .put("projectedTokensPerSecond", prompts.projected())
            .put("h200RooflineTokensPerSecond", prompts.roofline());
      }
    }
    leftOut.forEach(node.putArray("leftOut")::add);
    return node;
  }
}
