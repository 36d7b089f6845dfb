package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import java.io.PrintWriter;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Function;
import java.util.stream.IntStream;

/**
 * What a format makes of the memory that 16 bits have.
 *
 * @param base bf16
 * @param format the other
 */
record BudgetComparison(BudgetRun base, BudgetRun format) {
  /**
   * Measures both at each context, one after the other, as {@link BudgetRun#measure}.
   *
   * @param load a model for each format, since a GPU has one of them at a time
   */
  static List<BudgetComparison> measure(
      Function<KvCacheFormat, MiniMaxModel> load,
      KvCacheFormat format,
      int[] contexts,
      int steps,
      int repeats) {
    List<BudgetRun> base = runs(load, KvCacheFormat.of("bf16"), contexts, steps, repeats);
    List<BudgetRun> other = runs(load, format, contexts, steps, repeats);
    return IntStream.range(0, contexts.length)
        .mapToObj(i -> new BudgetComparison(base.get(i), other.get(i)))
        .toList();
  }

  private static List<BudgetRun> runs(
      Function<KvCacheFormat, MiniMaxModel> load,
      KvCacheFormat format,
      int[] contexts,
      int steps,
      int repeats) {
    try (MiniMaxModel model = load.apply(format)) {
      return Arrays.stream(contexts)
          .mapToObj(context -> BudgetRun.measure(model, format, context, steps, repeats))
          .toList();
    }
  }

  private double timesSequences() {
    return (double) format.sequences() / base.sequences();
  }

  private double timesSpeed() {
    return format.decode().median() / base.decode().median();
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode().put("context", base.context());
    for (BudgetRun run : List.of(base, format)) {
      Spread decode = run.decode();
      ObjectNode entry = node.putObject(run == base ? "base" : "format");
      entry.put("name", run.format()).put("sequences", run.sequences());
      entry.put("decodeTokensPerSecond", decode.median());
      entry.putArray("decodeRange").add(decode.min()).add(decode.max());
    }
    return node.put("timesSequences", timesSequences()).put("timesSpeed", timesSpeed());
  }

  static ObjectNode json(List<BudgetComparison> all, long bytes, int repeats) {
    ObjectNode node = JsonNodeFactory.instance.objectNode().put("budgetBytes", bytes);
    ArrayNode list = node.putArray("runs");
    all.forEach(one -> list.add(one.json()));
    return node.put("repeats", repeats).put("threads", Threads.count());
  }

  static void print(List<BudgetComparison> all, long bytes, int repeats, PrintWriter out) {
    out.printf(Locale.ROOT, "caches of %,d bytes in all%n", bytes);
    String speed = "tokens/s together, median of " + repeats;
    out.printf("%8s  %14s  %10s  %s%n", "context", "format", "sequences", speed);
    for (BudgetComparison one : all) {
      for (BudgetRun run : List.of(one.base(), one.format())) {
        out.printf(
            Locale.ROOT,
            "%8d  %14s  %10d  %,.1f (%,.1f to %,.1f)%n",
            run.context(),
            run.format(),
            run.sequences(),
            run.decode().median(),
            run.decode().min(),
            run.decode().max());
      }
      out.printf(
          Locale.ROOT,
          "%8s  %.2f times the sequences, %.2f times the tokens/s%n",
          "",
          one.timesSequences(),
          one.timesSpeed());
    }
    out.println("threads " + Threads.count());
  }
}
