package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.minimax.ModelReport;
import io.github.lightning4j.minimax.StorageFormat;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * A report in words or as JSON.
 *
 * @param report what was found
 * @param bandwidth of the memory that the decode floor is told for, in GB/s (10^9 bytes)
 * @param gpus that share the experts out, if that is asked for
 */
record ReportOutput(ModelReport report, double bandwidth, Optional<Integer> gpus) {
  private static final int NAMED_SHARDS = 3;

  ObjectNode json() {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    node.put("architecture", architecture());
    node.put("dialect", name(report.config().dialect()));
    node.put("layers", report.config().layers().size());
    node.put("totalParameters", report.totalParameters());
    node.put("activeParameters", report.activeParameters());
    ObjectNode roles = node.putObject("parametersByRole");
    report.parameters().forEach((role, count) -> roles.put(name(role), count));
    node.put("storedBytes", report.storedBytes());
    node.put("storedAs", report.storedAs());
    ObjectNode weights = node.putObject("weightBytes");
    ObjectNode floor = JsonNodeFactory.instance.objectNode();
    gpus.ifPresent(
        count -> {
          ObjectNode each = node.putObject("weightBytesOfEachGpu");
          for (StorageFormat format : StorageFormat.values()) {
            each.put(name(format), report.weightBytes(format, count));
          }
        });
    for (StorageFormat format : StorageFormat.values()) {
      weights.put(name(format), report.weightBytes(format));
      floor.put(name(format), tokensPerSecond(format));
    }
    node.put("kvBytesPerToken", report.kvBytesPerToken(DType.BF16));
    node.put("stateBytes", report.stateBytes());
    node.set("decodeTokensPerSecond", floor);
    ArrayNode missing = node.putArray("missingShards");
    report.missingShards().forEach(missing::add);
    return node;
  }

  void print(PrintWriter out) {
    line(out, "checkpoint", "%s", report.folder());
    line(out, "architecture", "%s, %s dialect", architecture(), name(report.config().dialect()));
    line(
        out,
        "parameters",
        "%,d in total (%s), %s active for a token",
        report.totalParameters(),
        scaled(report.totalParameters(), "%.2f"),
        scaled(report.activeParameters(), "%.1f"));
    for (Map.Entry<?, Long> role : report.parameters().entrySet()) {
      line(out, "", "%,18d  %s", role.getValue(), name((Enum<?>) role.getKey()));
    }
    line(out, "stored", "%,d bytes: %s", report.storedBytes(), report.storedAs());
    for (StorageFormat format : StorageFormat.values()) {
      line(
          out,
          "as " + name(format),
          "%,d bytes of weights; decodes at most %.3g tokens/s at %.0f GB/s",
          report.weightBytes(format),
          tokensPerSecond(format),
          bandwidth);
      gpus.ifPresent(
          count ->
              line(
                  out,
                  "",
                  "%,d of them on each of %d GPUs that share the experts out",
                  report.weightBytes(format, count),
                  count));
    }
    line(out, "KV cache", "%,d bytes a token (bf16)", report.kvBytesPerToken(DType.BF16));
    line(
        out,
        "state",
        "%,d bytes (%.4g MiB) a sequence, whatever its length",
        report.stateBytes(),
        report.stateBytes() / 1048576.0);
    line(out, "shards", "%s", shards());
  }

  private static void line(PrintWriter out, String name, String format, Object... values) {
    out.printf(Locale.ROOT, "%-14s  ", name);
    out.printf(Locale.ROOT, format, values);
    out.println();
  }

  private String architecture() {
    return String.format(
        "MiniMax hybrid (%s layers, %d experts of which %d work)",
        report.layerSummary(),
        report.config().experts().experts(),
        report.config().experts().expertsPerToken());
  }

  private double tokensPerSecond(StorageFormat format) {
    return report.decodeFloor(format, bandwidth * 1e9);
  }

  private String shards() {
    List<String> missing = report.missingShards();
    if (missing.isEmpty()) {
      return "all here";
    }
    String first = String.join(", ", missing.subList(0, Math.min(NAMED_SHARDS, missing.size())));
    int others = missing.size() - NAMED_SHARDS;
    return missing.size() + " missing: " + first + (others > 0 ? " and " + others + " more" : "");
  }

  private static String scaled(long count, String format) {
    return count >= 1e9
        ? String.format(Locale.ROOT, format + " billion", count / 1e9)
        : String.format(Locale.ROOT, format + " million", count / 1e6);
  }

  private static String name(Enum<?> value) {
    return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
