package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.cispo.head.FusedHead;
import io.github.lightning4j.core.Availability;
import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.kernel.CpuFeatures;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.core.kernel.MachineLimits.Rate;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.moe.MixtureOfExperts;
import java.io.PrintWriter;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code minimax diagnose}: what this machine offers, what was chosen, and why. */
@Command(
    name = "diagnose",
    sortOptions = false,
    description = "Tell what of this machine is used, and what is in the way of the rest.")
final class DiagnoseCommand implements Runnable {
  private final Console console;

  @Option(names = "--json", description = "Print one JSON object.")
  private boolean json;

  @Option(
      names = "--measure",
      description = "Measure arithmetic rates and memory bandwidth; takes some seconds.")
  private boolean measure;

  DiagnoseCommand(Console console) {
    this.console = console;
  }

  @Override
  public void run() {
    if (json) {
      console.json(describe());
    } else {
      print(console.out());
    }
  }

  private static Map<String, Object> machine() {
    Map<String, Object> facts = new LinkedHashMap<>();
    facts.put("java", property("java.version") + " (" + property("java.vm.name") + ")");
    facts.put("os", property("os.name") + " " + property("os.version"));
    facts.put("arch", property("os.arch"));
    facts.put("processors", Runtime.getRuntime().availableProcessors());
    facts.put("threads", Threads.count());
    facts.put("heapLimitBytes", Runtime.getRuntime().maxMemory());
    facts.put("modelCache", EmbeddedModel.userCache().toString());
    return facts;
  }

  private static Map<String, Availability> parts() {
    Map<String, Availability> parts = new LinkedHashMap<>();
    parts.put("core", Gemm.availability());
    parts.put("lightning-attention", LightningAttention.availability());
    parts.put("moe", MixtureOfExperts.availability());
    parts.put("kv-quant", CacheAttention.availability());
    parts.put("cispo", FusedHead.availability());
    parts.put("oneDNN", Gemm.oneDnn());
    parts.put("CUDA", Cuda.availability());
    return parts;
  }

  /** Rates a second by name, of one thread and of all; empty unless asked for. */
  private Map<String, Rate> limits() {
    Map<String, Rate> rates = new LinkedHashMap<>();
    if (measure) {
      MachineLimits.measure()
          .ifPresent(
              limits -> {
                rates.put("fmaFlops", limits.fma());
                limits.amx().ifPresent(amx -> rates.put("amxFlops", amx));
                rates.put("readBytes", limits.read());
                rates.put("copyBytes", limits.copy());
              });
    }
    return rates;
  }

  private ObjectNode describe() {
    ObjectNode node = new JsonMapper().valueToTree(machine());
    ArrayNode features = node.putArray("cpuFeatures");
    CpuFeatures.detected().forEach(features::add);
    ObjectNode parts = node.putObject("kernels");
    parts()
        .forEach(
            (name, found) ->
                parts
                    .putObject(name)
                    .put("available", found.isAvailable())
                    .put("reason", found.reason())
                    .put("fix", found.fix()));
    if (measure) {
      ObjectNode limits = node.putObject("limits");
      limits()
          .forEach(
              (name, rate) ->
                  limits
                      .putObject(name)
                      .put("oneThread", rate.oneThread())
                      .put("allThreads", rate.allThreads()));
    }
    return node;
  }

  private void print(PrintWriter out) {
    machine().forEach((name, fact) -> line(out, name, fact.toString()));
    line(out, "cpuFeatures", String.join(" ", CpuFeatures.detected()));
    parts()
        .forEach(
            (name, found) -> {
              line(out, name, (found.isAvailable() ? "yes: " : "no: ") + found.reason());
              if (!found.fix().isEmpty()) {
                line(out, "", "to mend: " + found.fix());
              }
            });
    limits()
        .forEach(
            (name, rate) ->
                line(
                    out,
                    name,
                    String.format(
                        Locale.ROOT,
                        "%.1f G/s on one thread, %.1f on all",
                        rate.oneThread() / 1e9,
                        rate.allThreads() / 1e9)));
  }

  private static void line(PrintWriter out, String name, String text) {
    out.printf("%-19s  %s%n", name, text);
  }

  private static String property(String name) {
    return System.getProperty(name, "unknown");
  }
}
