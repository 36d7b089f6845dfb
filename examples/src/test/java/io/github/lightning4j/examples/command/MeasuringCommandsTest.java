package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.Threads;
import java.util.Arrays;
import java.util.Iterator;
import org.junit.jupiter.api.Test;

/** {@code minimax bench} and {@code minimax diagnose}: that they tell, not what they measure. */
final class MeasuringCommandsTest {
  @Test
  void benchTellsMediansAndRangesForEachContext() {
    int before = Threads.count();
    try {
      JsonNode result =
          CommandRun.done(
                  "bench",
                  "--model",
                  Repository.NANO,
                  "--prefill",
                  "3,40",
                  "--decode",
                  4,
                  "--repeats",
                  2,
                  "--threads",
                  1,
                  "--json")
              .json();
      assertThat(Threads.count()).isEqualTo(1);
      assertThat(result.get("repeats").asInt()).isEqualTo(2);
      assertThat(result.get("runs"))
          .extracting(run -> run.get("context").asInt())
          .containsExactly(3, 40);
      for (JsonNode run : result.get("runs")) {
        for (String what : new String[] {"prefill", "decode"}) {
          double median = run.get(what + "TokensPerSecond").asDouble();
          JsonNode range = run.get(what + "Range");
          assertThat(median).isBetween(range.get(0).asDouble(), range.get(1).asDouble());
          assertThat(range.get(0).asDouble()).isPositive();
        }
        if (Gemm.availability().isAvailable()) {
          double tokens = run.get("decodeTokensPerSecond").asDouble();
          assertThat(run.get("decodeShareOfBandwidth").asDouble())
              .isEqualTo(
                  tokens
                      * result.get("decodeBytesPerToken").asDouble()
                      / result.get("readBytesPerSecond").asDouble());
          assertThat(run.get("prefillShareOfPeak").asDouble()).isPositive();
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void benchNeedsNoTokenizer() {
    CommandRun run =
        CommandRun.done(
            "bench",
            "--model",
            Repository.fixture("alt_gqa_b32").resolve("hf"),
            "--prefill",
            5,
            "--decode",
            2,
            "--repeats",
            1);
    assertThat(run.out().lines().findFirst().orElseThrow())
        .matches(" context +prefill tokens/s, median of 1 +decode tokens/s, median of 1");
    assertThat(run.out().lines().skip(1).findFirst().orElseThrow())
        .matches("\\s+5 .*\\(.* to .*\\).*\\(.* to .*\\)( +\\d+ %)?");
  }

  @Test
  void benchTellsOfSeveralSequencesBesideOne() {
    Object[] args = {
      "bench",
      "--model",
      Repository.fixture("alt_gqa_b32").resolve("hf"),
      "--prefill",
      5,
      "--decode",
      2,
      "--repeats",
      2,
      "--batch",
      3,
      "--json"
    };
    JsonNode run = CommandRun.done(args).json().get("runs").get(0);
    assertThat(run.get("batch").asInt()).isEqualTo(3);
    assertThat(run.get("batchDecodeTokensPerSecond").asDouble())
        .isBetween(
            run.get("batchDecodeRange").get(0).asDouble(),
            run.get("batchDecodeRange").get(1).asDouble());
    assertThat(CommandRun.done(Arrays.copyOf(args, args.length - 1)).out())
        .containsPattern("5  3 sequences together .*\\(.* to .*\\) tokens/s, .* times one");
  }

  @Test
  void benchGrowsABatchUntilTheBudgetIsFull() {
    Object[] args = {
      "bench",
      "--model",
      Repository.NANO,
      "--prefill",
      300,
      "--decode",
      2,
      "--repeats",
      1,
      "--kv",
      "akvq-2",
      "--budget",
      2_000_000,
      "--json"
    };
    JsonNode result = CommandRun.done(args).json();
    assertThat(result.get("repeats").asInt()).isEqualTo(1);
    JsonNode run = result.get("runs").get(0);
    assertThat(run.get("base").get("name").asText()).isEqualTo("bf16");
    assertThat(run.get("base").get("sequences").asInt()).isEqualTo(2_000_000 / (5 * 64 * 1024));
    assertThat(run.get("format").get("sequences").asInt())
        .isGreaterThan(run.get("base").get("sequences").asInt());
    assertThat(run.get("timesSpeed").asDouble()).isPositive();
    args[12] = 1000;
    CommandRun full = CommandRun.of(args);
    assertThat(full.code()).isEqualTo(2);
    assertThat(full.err()).contains("--budget: expected room for a sequence of 300 tokens in bf16");
    args[12] = 2_000_000;
    assertThat(CommandRun.done(Arrays.copyOf(args, args.length - 1)).out())
        .containsPattern("300 +akvq-2 +\\d+ ")
        .contains("times the sequences");
  }

  @Test
  void medianIsTheMiddle() {
    assertThat(Spread.of(5, 1, 3)).isEqualTo(new Spread(3, 1, 5));
    assertThat(Spread.of(4, 1, 2, 10)).isEqualTo(new Spread(3, 1, 10));
  }

  @Test
  void diagnoseTellsOfEveryPartWhetherItIsUsedAndWhyNot() {
    JsonNode result = CommandRun.done("diagnose", "--json").json();
    assertThat(result.get("java").asText()).contains(System.getProperty("java.version"));
    assertThat(result.get("threads").asInt()).isEqualTo(Threads.count());
    JsonNode kernels = result.get("kernels");
    for (String part :
        new String[] {
          "core", "lightning-attention", "moe", "kv-quant", "cispo", "oneDNN", "CUDA"
        }) {
      JsonNode found = kernels.get(part);
      assertThat(found.get("reason").asText()).as(part).isNotEmpty();
      assertThat(found.get("fix").asText().isEmpty())
          .as(part)
          .isEqualTo(found.get("available").asBoolean());
      assertThat(CommandRun.done("diagnose").out())
          .contains(part)
          .contains(found.get("reason").asText());
    }
  }

  @Test
  void diagnoseMeasuresLimitsOnlyIfAsked() {
    assertThat(CommandRun.done("diagnose", "--json").json().has("limits")).isFalse();
    JsonNode limits = CommandRun.done("diagnose", "--measure", "--json").json().get("limits");
    assertThat(limits.isEmpty()).isEqualTo(!Gemm.availability().isAvailable());
    for (JsonNode rate : limits) {
      assertThat(rate.get("oneThread").asDouble()).isPositive();
      assertThat(rate.get("allThreads").asDouble()).isPositive();
    }
    String text = CommandRun.done("diagnose", "--measure").out();
    for (Iterator<String> names = limits.fieldNames(); names.hasNext(); ) {
      assertThat(text)
          .containsPattern(names.next() + " +[0-9.]+ G/s on one thread, [0-9.]+ on all");
    }
  }
}
