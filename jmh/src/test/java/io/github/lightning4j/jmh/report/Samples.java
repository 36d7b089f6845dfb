package io.github.lightning4j.jmh.report;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.jmh.AttentionSize;

/** Measurements and files with known content. */
final class Samples {
  /** What {@code -rf json} writes, shortened; the median differs from the mean. */
  static final String JMH =
      """
      [
        %s,
        %s,
        %s,
        {"benchmark": "io.github.lightning4j.jmh.GemmBenchmark.multiply", "params": {"m": "1"}}
      ]
      """
          .formatted(
              result("LightningPrefillBenchmark.forward", "\"size\": \"16x64x1024\"", 2000),
              result("SoftmaxTrainingBenchmark.forwardBackward", "\"size\": \"8x32x256\"", 3000),
              result(
                  "LightningDecodeBenchmark.decode",
                  "\"size\": \"64x128\", \"batch\": \"16\", \"kernel\": \"JAVA\"",
                  4000));

  static final String TORCH =
      """
      {"cmd": "ops", "threads": 2, "results": [
        {"op": "lightning_fwd", "dtype": "bf16", "B": 1, "H": 16, "N": 4096, "D": 64, "median_s": 0.026},
        {"op": "sdpa_causal_fwd_bwd", "dtype": "f32", "B": 1, "H": 16, "N": 1024, "D": 64, "median_s": 0.5},
        {"op": "moe_fwd", "dtype": "f32", "T": 512, "median_s": 0.5},
        {"op": "lightning_fwd_bwd", "dtype": "f32", "error": "out of memory"}
      ]}
      """;

  private Samples() {}

  private static String result(String benchmark, String params, double median) {
    return """
        {
          "benchmark": "io.github.lightning4j.jmh.%s",
          "mode": "avgt",
          "jvmArgs": ["-Xmx2g", "-Dlightning4j.threads=3"],
          "params": {"dtype": "f32", %s},
          "primaryMetric": {
            "score": 12345.0,
            "scorePercentiles": {"0.0": 1.0, "50.0": %s, "100.0": 99999.0},
            "scoreUnit": "ns/op"
          }
        }"""
        .formatted(benchmark, params, median);
  }

  static JsonNode json(String text) {
    try {
      return new JsonMapper().readTree(text);
    } catch (JsonProcessingException e) {
      throw new IllegalArgumentException(e);
    }
  }

  /** One sequence, F32, one thread. */
  static Measurement call(Kernel kernel, Pass pass, String size, double nanoseconds) {
    return new Measurement(kernel, pass, DType.F32, 1, AttentionSize.of(size), 1, nanoseconds);
  }
}
