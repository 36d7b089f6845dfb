package io.github.lightning4j.jmh.report;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.jmh.AttentionSize;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads what {@code benchmarks.jar -rf json} wrote: the attention benchmarks in it, others are
 * passed over. The time is the median of the iterations, which one disturbed iteration does not
 * move.
 */
final class JmhResults {
  private static final Pattern BENCHMARK =
      Pattern.compile("(Lightning|Softmax)\\w+Benchmark\\.(forward|forwardBackward|decode)");

  private static final Pattern THREADS = Pattern.compile("-Dlightning4j\\.threads=(\\d+)");

  private final int otherwise;

  /**
   * A reader.
   *
   * @param otherwise the threads of results that did not set {@code lightning4j.threads}
   */
  JmhResults(int otherwise) {
    this.otherwise = otherwise;
  }

  /**
   * The measurements in a file's content, in its order.
   *
   * @throws IllegalArgumentException if it is not a result of JMH in nanoseconds a call
   */
  List<Measurement> read(JsonNode results) {
    checkArgument(results.isArray(), "expected an array of results, as -rf json writes it");
    List<Measurement> read = new ArrayList<>();
    for (JsonNode result : results) {
      String name = JsonFile.field(result, "benchmark").asText();
      Matcher known =
          BENCHMARK.matcher(name.substring(name.lastIndexOf('.', name.lastIndexOf('.') - 1) + 1));
      if (known.matches()) {
        read.add(measurement(result, known));
      }
    }
    return read;
  }

  private Measurement measurement(JsonNode result, Matcher known) {
    JsonNode metric = JsonFile.field(result, "primaryMetric");
    String unit = JsonFile.field(metric, "scoreUnit").asText();
    checkArgument(unit.equals("ns/op"), "%s: expected ns/op, got %s", known.group(), unit);
    JsonNode params = JsonFile.field(result, "params");
    Pass pass =
        switch (known.group(2)) {
          case "forward" -> Pass.FORWARD;
          case "decode" ->
              params.path("pool").asText().equals("CACHE") ? Pass.CACHED_DECODE : Pass.DECODE;
          default -> Pass.FORWARD_BACKWARD;
        };
    return new Measurement(
        kernel(known.group(1), params),
        pass,
        DType.of(JsonFile.field(params, "dtype").asText()),
        params.path("batch").asInt(1),
        AttentionSize.of(JsonFile.field(params, "size").asText()),
        threads(result),
        JsonFile.field(JsonFile.field(metric, "scorePercentiles"), "50.0").asDouble());
  }

  private static Kernel kernel(String family, JsonNode params) {
    if (family.equals("Softmax")) {
      return Kernel.SOFTMAX;
    }
    return params.path("kernel").asText().equals("JAVA") ? Kernel.JAVA : Kernel.LIGHTNING;
  }

  private int threads(JsonNode result) {
    int threads = otherwise;
    for (JsonNode argument : result.path("jvmArgs")) {
      Matcher matcher = THREADS.matcher(argument.asText());
      if (matcher.matches()) {
        threads = Integer.parseInt(matcher.group(1));
      }
    }
    return threads;
  }
}
