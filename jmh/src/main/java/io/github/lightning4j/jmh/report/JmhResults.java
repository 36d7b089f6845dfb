package io.github.lightning4j.jmh.report;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.jmh.AttentionSize;
import java.util.List;
import java.util.regex.Pattern;

/** Reads the attention benchmarks of a result file; others are passed over. */
final class JmhResults {
  private static final Pattern BENCHMARK =
      Pattern.compile("(Lightning|Softmax)\\w+Benchmark\\.(forward|forwardBackward|decode)");

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
    return JmhResult.read(results, BENCHMARK, otherwise).stream()
        .map(JmhResults::measurement)
        .toList();
  }

  private static Measurement measurement(JmhResult result) {
    JsonNode params = result.params();
    Pass pass =
        switch (result.name().group(2)) {
          case "forward" -> Pass.FORWARD;
          case "decode" ->
              params.path("pool").asText().equals("CACHE") ? Pass.CACHED_DECODE : Pass.DECODE;
          default -> Pass.FORWARD_BACKWARD;
        };
    return new Measurement(
        kernel(result.name().group(1), params),
        pass,
        DType.of(JsonFile.field(params, "dtype").asText()),
        params.path("batch").asInt(1),
        AttentionSize.of(JsonFile.field(params, "size").asText()),
        result.threads(),
        result.nanoseconds());
  }

  private static Kernel kernel(String family, JsonNode params) {
    if (family.equals("Softmax")) {
      return Kernel.SOFTMAX;
    }
    return params.path("kernel").asText().equals("JAVA") ? Kernel.JAVA : Kernel.LIGHTNING;
  }
}
