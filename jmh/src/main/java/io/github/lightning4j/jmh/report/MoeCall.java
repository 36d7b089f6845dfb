package io.github.lightning4j.jmh.report;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.DType;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Pattern;

/**
 * One measured call of the mixture of H = {@value #HIDDEN}, I = {@value #INTERMEDIATE}, the top
 * {@value #CHOICES} of {@value #EXPERTS} experts.
 *
 * @param kernel who computed: {@link #OURS}, or PyTorch's implementation
 * @param pass {@link Pass#FORWARD} or {@link Pass#FORWARD_BACKWARD}
 * @param weights {@code f32}, {@code bf16}, {@code int8} or {@code int4}
 */
record MoeCall(
    String kernel, Pass pass, String weights, int tokens, int threads, double nanoseconds) {
  static final String OURS = "moe";
  static final int HIDDEN = 1024;
  static final int INTERMEDIATE = 1792;
  static final int EXPERTS = 8;
  static final int CHOICES = 2;

  private static final double EXPERT = 3.0 * HIDDEN * INTERMEDIATE;

  private static final Pattern BENCHMARK =
      Pattern.compile("Moe(Forward|Training)Benchmark\\.(forward|forwardBackward)");

  /** The measurements in a result file of JMH. */
  static List<MoeCall> ofJmh(JsonNode results, int otherwise) {
    return JmhResult.read(results, BENCHMARK, otherwise).stream()
        .map(
            result ->
                new MoeCall(
                    OURS,
                    result.name().group(2).equals("forward") ? Pass.FORWARD : Pass.FORWARD_BACKWARD,
                    JsonFile.field(result.params(), "weights").asText(),
                    JsonFile.field(result.params(), "tokens").asInt(),
                    result.threads(),
                    result.nanoseconds()))
        .toList();
  }

  /** The {@code moe_fwd} of this size in a file of PyTorch's; those that failed are passed over. */
  static List<MoeCall> ofTorch(JsonNode file) {
    int threads = JsonFile.field(file, "threads").asInt();
    List<MoeCall> read = new ArrayList<>();
    for (JsonNode result : JsonFile.field(file, "results")) {
      if (JsonFile.field(result, "op").asText().equals("moe_fwd")
          && !result.has("error")
          && isThisSize(result)) {
        read.add(
            new MoeCall(
                "PyTorch " + JsonFile.field(result, "impl").asText(),
                Pass.FORWARD,
                JsonFile.field(result, "dtype").asText(),
                JsonFile.field(result, "T").asInt(),
                threads,
                JsonFile.field(result, "median_s").asDouble() * 1e9));
      }
    }
    return read;
  }

  private static boolean isThisSize(JsonNode result) {
    return JsonFile.field(result, "H").asInt() == HIDDEN
        && JsonFile.field(result, "I").asInt() == INTERMEDIATE
        && JsonFile.field(result, "E").asInt() == EXPERTS
        && JsonFile.field(result, "K").asInt() == CHOICES;
  }

  boolean isOurs() {
    return kernel.equals(OURS);
  }

  /** 6 H I a pair forward, and twice that again for gradients; a forward repeated counts once. */
  double operations() {
    return 2 * EXPERT * tokens * CHOICES * (pass == Pass.FORWARD ? 1 : 3);
  }

  /** One read of the weights of the experts that even routing hits. */
  double weightBytes() {
    double hit = EXPERTS * (1 - Math.pow(1 - (double) CHOICES / EXPERTS, tokens));
    return hit * EXPERT * bytesPerWeight();
  }

  private double bytesPerWeight() {
    return switch (weights) {
      case "int8" -> 1 + 2.0 / 128;
      case "int4" -> 0.5 + 3.0 / 128;
      default -> DType.of(weights).bytes();
    };
  }
}
