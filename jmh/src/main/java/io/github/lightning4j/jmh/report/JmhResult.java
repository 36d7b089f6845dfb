package io.github.lightning4j.jmh.report;

import static com.google.common.base.Preconditions.checkArgument;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * One result of {@code benchmarks.jar -rf json}.
 *
 * @param name what the pattern asked for has matched, {@code Class.method}
 * @param params of the benchmark
 * @param threads {@code lightning4j.threads}
 * @param nanoseconds a call: the median of the iterations, which one disturbed iteration does not
 *     move
 */
record JmhResult(Matcher name, JsonNode params, int threads, double nanoseconds) {
  private static final Pattern THREADS = Pattern.compile("-Dlightning4j\\.threads=(\\d+)");

  /**
   * The results in a file's content whose {@code Class.method} matches, in its order.
   *
   * @param otherwise the threads of results that did not set {@code lightning4j.threads}
   * @throws IllegalArgumentException if it is not a result of JMH in nanoseconds a call
   */
  static List<JmhResult> read(JsonNode results, Pattern names, int otherwise) {
    checkArgument(results.isArray(), "expected an array of results, as -rf json writes it");
    List<JmhResult> read = new ArrayList<>();
    for (JsonNode result : results) {
      String name = JsonFile.field(result, "benchmark").asText();
      Matcher known =
          names.matcher(name.substring(name.lastIndexOf('.', name.lastIndexOf('.') - 1) + 1));
      if (known.matches()) {
        read.add(of(result, known, otherwise));
      }
    }
    return read;
  }

  private static JmhResult of(JsonNode result, Matcher known, int otherwise) {
    JsonNode metric = JsonFile.field(result, "primaryMetric");
    String unit = JsonFile.field(metric, "scoreUnit").asText();
    checkArgument(unit.equals("ns/op"), "%s: expected ns/op, got %s", known.group(), unit);
    return new JmhResult(
        known,
        JsonFile.field(result, "params"),
        threads(result, otherwise),
        JsonFile.field(JsonFile.field(metric, "scorePercentiles"), "50.0").asDouble());
  }

  private static int threads(JsonNode result, int otherwise) {
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
