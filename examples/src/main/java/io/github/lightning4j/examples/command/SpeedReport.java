package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.Threads;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * How fast a model read and wrote behind prompts of several lengths.
 *
 * @param runs one for each length
 * @param share of what the machine can do; empty where that was not measured
 * @param peakMemory bytes of the process; empty where the system does not tell
 * @param repeats that the medians are of
 */
record SpeedReport(
    List<SpeedRun> runs, Optional<MachineShare> share, OptionalLong peakMemory, int repeats) {

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    ArrayNode list = node.putArray("runs");
    for (SpeedRun run : runs) {
      ObjectNode entry = list.addObject().put("context", run.context());
      add(entry, "prefill", run.prefill());
      add(entry, "decode", run.decode());
      run.batch()
          .ifPresent(
              batch -> {
                entry.put("batch", batch.sequences());
                add(entry, "batchDecode", batch.decode());
              });
      share.ifPresent(
          of ->
              entry
                  .put("prefillShareOfPeak", of.ofPeak(run.prefill().median()))
                  .put("decodeShareOfBandwidth", of.ofBandwidth(run.decode().median())));
    }
    node.put("repeats", repeats);
    share.ifPresent(of -> of.addTo(node));
    peakMemory.ifPresent(bytes -> node.put("peakRssBytes", bytes));
    return node;
  }

  private static void add(ObjectNode entry, String what, Spread spread) {
    entry.put(what + "TokensPerSecond", spread.median());
    entry.putArray(what + "Range").add(spread.min()).add(spread.max());
  }

  void print(PrintWriter out) {
    String speed = " tokens/s, median of " + repeats;
    out.printf("%8s  %42s  %42s%n", "context", "prefill" + speed, "decode" + speed);
    for (SpeedRun run : runs) {
      double prefill = share.map(of -> of.ofPeak(run.prefill().median())).orElse(Double.NaN);
      double decode = share.map(of -> of.ofBandwidth(run.decode().median())).orElse(Double.NaN);
      out.printf(
          "%8d  %42s  %42s%n",
          run.context(), text(run.prefill(), prefill), text(run.decode(), decode));
    }
    runs.forEach(run -> run.batch().ifPresent(batch -> printBatch(out, run, batch)));
    share.ifPresent(
        of ->
            out.printf(
                Locale.ROOT,
                "%% of %.0f GFLOP/s in fp32, and of %.1f GB/s read; a token reads %.1f MB of"
                    + " weights%n",
                of.operationsPerSecond() / 1e9,
                of.bytesPerSecond() / 1e9,
                of.cost().decodeBytes() / 1e6));
    peakMemory.ifPresent(bytes -> out.printf("peak memory %,d bytes%n", bytes));
    out.println("threads " + Threads.count());
  }

  private static void printBatch(PrintWriter out, SpeedRun run, BatchRun batch) {
    out.printf(
        Locale.ROOT,
        "%8d  %d sequences together %s tokens/s, %.2f times one%n",
        run.context(),
        batch.sequences(),
        text(batch.decode(), Double.NaN),
        batch.decode().median() / run.decode().median());
  }

  private static String text(Spread spread, double share) {
    String speed =
        String.format(
            Locale.ROOT, "%,.1f (%,.1f to %,.1f)", spread.median(), spread.min(), spread.max());
    return Double.isNaN(share)
        ? speed
        : speed + String.format(Locale.ROOT, " %3.0f %%", 100 * share);
  }
}
