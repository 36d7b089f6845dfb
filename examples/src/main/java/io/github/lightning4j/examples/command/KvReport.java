package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxModel;
import io.github.lightning4j.minimax.Session;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Random;

/**
 * What formats of key-value caches cost and save, the first of them the base of the others.
 *
 * @param context tokens at which memory and speed were measured
 * @param rows a format each
 */
record KvReport(int context, List<Row> rows) {
  private static final long SEED = 20251121;

  /**
   * One format.
   *
   * @param name of the format
   * @param packed whether it is held in the bits it says, or only simulated
   * @param quality of predictions
   * @param bits an element, metadata included, beyond sinks and window: measured where packed
   * @param bytes of all caches at the context
   * @param speed at the context
   */
  record Row(
      String name, boolean packed, CacheQuality quality, double bits, long bytes, SpeedRun speed) {}

  /**
   * All formats of a report: 16 bits, 8 bits, the presets, 2 bits with the sinks and window of kv2,
   * and candidates of kv2 with the sinks of RotateKV alone.
   *
   * @param recent so many newest tokens stay in 16 bits, where a format has such a window
   */
  static List<KvCacheFormat> formats(int recent, Path calibration) {
    WindowedFormats windowed = new WindowedFormats(recent, Optional.of(calibration));
    List<KvCacheFormat> all = new ArrayList<>();
    all.addAll(windowed.all("bf16", "int8", "naive-4", "naive-3", "naive-2", "kivi-4", "kivi-2"));
    all.addAll(windowed.all("quarot-4", "quarot-3", "quarot-2"));
    all.addAll(windowed.all("rotatekv-4", "rotatekv-3", "rotatekv-2"));
    for (String name : List.of("naive-2", "rotatekv-2")) {
      all.add(windowed.with(windowed.of("kv2").policy().orElseThrow().tokens(), name, " + window"));
    }
    for (String name : List.of("kv2-centered", "kv2-affine", "kv2-wush")) {
      all.add(windowed.with(KvPresets.of("rotatekv-2").tokens(), name, " - window"));
    }
    all.addAll(windowed.all("kv2-affine", "kv2-wush", "kv2"));
    return all;
  }

  /** Adds memory and speed, measured, to what is known of the quality. */
  static Row measure(
      MiniMaxModel model,
      KvCacheFormat format,
      CacheQuality quality,
      int context,
      int steps,
      int repeats) {
    int[] prompt = new Random(SEED).ints(context, 0, model.config().vocabSize()).toArray();
    double bits;
    long bytes;
    try (Session session = model.newSession(format)) {
      session.prefill(prompt);
      bits = session.packedBitsPerElement();
      bytes = session.cacheBytes();
    }
    if (!format.isPacked()) {
      bits = format.policy().map(KvPolicy::bitsPerElement).orElse(8.0 * format.exact().bytes());
    }
    boolean packed = format.policy().isEmpty() || format.isPacked();
    SpeedRun speed = SpeedRun.measure(model, format, context, steps, repeats, 1);
    return new Row(format.name(), packed, quality, bits, bytes, speed);
  }

  void print(PrintWriter out) {
    out.printf(
        "| format | perplexity | KL, nats | top-1 | bits | bytes at %d | prefill/s | decode/s |%n",
        context);
    out.println("| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (Row row : rows) {
      out.printf(
          Locale.ROOT,
          "| %s | %.4f | %.5f | %.2f %% | %s%.3f | %s | %,.0f | %,.0f |%n",
          row.name(),
          row.quality().perplexity(),
          row.quality().divergence(),
          100 * row.quality().agreement(),
          row.packed() ? "" : "~",
          row.bits(),
          row.packed() ? String.format(Locale.ROOT, "%,d", row.bytes()) : "-",
          row.speed().prefill().median(),
          row.speed().decode().median());
    }
    out.printf(
        Locale.ROOT, "%n%,d tokens predicted. Bits: beyond sinks and recent tokens.%n", tokens());
    out.println(
        "~ simulated, not packed. + window: the tokens kv2 keeps; - window: its sinks alone.");
  }

  private long tokens() {
    return rows.get(0).quality().tokens();
  }

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("context", context).put("tokens", tokens());
    ArrayNode list = node.putArray("formats");
    for (Row row : rows) {
      list.addObject()
          .put("format", row.name())
          .put("packed", row.packed())
          .put("perplexity", row.quality().perplexity())
          .put("divergence", row.quality().divergence())
          .put("agreement", row.quality().agreement())
          .put("bitsPerElement", row.bits())
          .put("cacheBytes", row.bytes())
          .put("prefillTokensPerSecond", row.speed().prefill().median())
          .put("decodeTokensPerSecond", row.speed().decode().median());
    }
    return node;
  }
}
