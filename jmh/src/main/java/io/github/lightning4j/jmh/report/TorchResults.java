package io.github.lightning4j.jmh.report;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.jmh.AttentionSize;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * Reads the measurements of a PyTorch run: an object with {@code threads} and {@code results}, each
 * of which has {@code op}, {@code dtype}, {@code B}, {@code H}, {@code N} (tokens), {@code D} and
 * {@code median_s}. Operators other than the four of attention are passed over, as are those that
 * failed.
 */
final class TorchResults {
  private record Operator(Kernel kernel, Pass pass) {}

  private static final Map<String, Operator> OPERATORS =
      Map.of(
          "lightning_fwd", new Operator(Kernel.TORCH_LIGHTNING, Pass.FORWARD),
          "lightning_fwd_bwd", new Operator(Kernel.TORCH_LIGHTNING, Pass.FORWARD_BACKWARD),
          "sdpa_causal_fwd", new Operator(Kernel.TORCH_SOFTMAX, Pass.FORWARD),
          "sdpa_causal_fwd_bwd", new Operator(Kernel.TORCH_SOFTMAX, Pass.FORWARD_BACKWARD));

  private TorchResults() {}

  /**
   * The measurements in a file's content, in its order.
   *
   * @throws IllegalArgumentException if a field is missing
   */
  static List<Measurement> read(JsonNode file) {
    int threads = JsonFile.field(file, "threads").asInt();
    List<Measurement> read = new ArrayList<>();
    for (JsonNode result : JsonFile.field(file, "results")) {
      Operator operator = OPERATORS.get(JsonFile.field(result, "op").asText());
      if (operator != null && !result.has("error")) {
        read.add(measurement(operator, threads, result));
      }
    }
    return read;
  }

  private static Measurement measurement(Operator operator, int threads, JsonNode result) {
    return new Measurement(
        operator.kernel,
        operator.pass,
        DType.of(JsonFile.field(result, "dtype").asText()),
        JsonFile.field(result, "B").asInt(),
        new AttentionSize(
            JsonFile.field(result, "H").asInt(),
            JsonFile.field(result, "D").asInt(),
            JsonFile.field(result, "N").asInt()),
        threads,
        JsonFile.field(result, "median_s").asDouble() * 1e9);
  }
}
