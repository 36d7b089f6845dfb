package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.assertj.core.api.Assertions.withinPercentage;

import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.SliceCost;
import io.github.lightning4j.minimax.WeightFormat;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** {@code bench --config m1-slice}: what is told without a GPU. */
final class SliceBenchTest {
  private static final KvCacheFormat BF16 = KvCacheFormat.of("bf16");

  @Test
  void aStepOfTheWholeModelMovesThePublishedBytes() {
    SliceCost plain = new SliceCost(MiniMaxConfig.m1(80), WeightFormat.BF16, BF16);
    // 47.16 billion weights in 16 bits; two of 32 experts for one token.
    double states = 2.0 * 70 * 64 * 128 * 128 * 4;
    assertThat(plain.stepBytes(1, 0) - states).isCloseTo(94.4e9, within(0.1e9));
    // 40,960 bytes of keys and values a token.
    assertThat(plain.stepBytes(1, 1_000_000) - plain.stepBytes(1, 0))
        .isCloseTo(40.96e9, within(1e6));
    SliceCost coded = new SliceCost(MiniMaxConfig.m1(80), WeightFormat.INT8, BF16);
    assertThat(coded.stepBytes(1, 0) - states).isCloseTo(49.2e9, within(0.3e9));
    // 16 tokens meet 20.6 of 32 experts on average.
    double experts = (plain.stepBytes(16, 0) - plain.stepBytes(1, 0) - 15 * states) / 80;
    assertThat(experts / (2.0 * 3 * 6144 * 9216)).isCloseTo(18.6, within(0.1));
  }

  @Test
  void keysAndValuesOf2BitsAreReadWithTheirScalesAndTheWindow() {
    MiniMaxConfig m1 = MiniMaxConfig.m1(80);
    SliceCost plain = new SliceCost(m1, WeightFormat.BF16, BF16);
    SliceCost coded = new SliceCost(m1, WeightFormat.BF16, KvCacheFormat.of("kv2"));
    double weights = plain.stepBytes(8, 0);
    assertThat(coded.stepBytes(8, 100)).isEqualTo(plain.stepBytes(8, 100)); // all in the window
    // 10 layers, 2,048 elements of 2 bits and a byte for each 128; 128 tokens and the first 4 in
    // bf16.
    double expected = 10 * (2048 / 4.0 + 16) * (32_768 - 128) + 40_960.0 * 132;
    assertThat(coded.stepBytes(8, 32_768) - weights).isCloseTo(8 * expected, within(1e3));
    SliceCost affine = new SliceCost(m1, WeightFormat.BF16, KvCacheFormat.of("quarot-4"));
    assertThat(affine.stepBytes(1, 1000) - affine.stepBytes(1, 0))
        .isCloseTo(10 * 1000 * (1024 + 64), within(1e3));
  }

  @Test
  void projectsAtTheRateOfTheSlice() {
    SliceBench.Step step = new SliceBench.Step(8, 0.002, 4e9, 40e9);
    assertThat(step.shareOf(4e12)).isCloseTo(0.5, within(1e-12));
    assertThat(step.roofline(4e12)).isCloseTo(8 * 8 * 100, within(1e-9));
    assertThat(step.projected()).isCloseTo(step.roofline(4e12) / 2, within(1e-9));
  }

  @Test
  void printsALineForEachStep() {
    StringWriter text = new StringWriter();
    SliceBench.Step step = new SliceBench.Step(8, 0.002, 4e9, 40e9);
    SliceBench.Prompts prompts = new SliceBench.Prompts(8, 8192, 0.1, 1e10, 1e11);
    SliceBench bench =
        new SliceBench(
            8,
            "int8/128",
            "kv2",
            4e12,
            5,
            List.of(
                new SliceBench.Run(1024, List.of(prompts), List.of(step, step)),
                new SliceBench.Run(2048, List.of(), List.of(step))),
            List.of("context 2048, prompts: 5 bytes needed"));
    bench.print(new PrintWriter(text, true));
    assertThat(text.toString().lines())
        .hasSize(8)
        .anySatisfy(line -> assertThat(line).endsWith("; medians of 5"))
        .contains("left out: context 2048, prompts: 5 bytes needed")
        .anySatisfy(
            line ->
                assertThat(line.trim().split("\\s+"))
                    .containsExactly("1024", "8", "2.000", "50%", "3200", "6400", "7680"))
        .anySatisfy(
            line ->
                assertThat(line.trim().split("\\s+"))
                    .containsExactly("1024", "8", "81920", "819.2", "65536", "79120"));
    assertThat(bench.json().get("repeats").asInt()).isEqualTo(5);
    assertThat(bench.json().get("runs")).hasSize(3);
    assertThat(bench.json().get("prompts")).hasSize(1);
    assertThat(bench.json().get("leftOut")).hasSize(1);
  }

  /** Tokens a second of eight H200 by bytes and operations alone, as they were published. */
  @ParameterizedTest
  @CsvSource({"int8, 1, 781", "int8, 8, 1504", "int8, 32, 2885", "bf16, 1, 407", "bf16, 8, 777"})
  void rooflinesAreThoseThatWerePublished(String weights, int sequences, double expected) {
    SliceCost whole = new SliceCost(MiniMaxConfig.m1(80), WeightFormat.parse(weights), BF16);
    double bytes = whole.stepBytes(sequences, 0);
    SliceBench.Step step = new SliceBench.Step(sequences, 1, bytes, bytes);
    assertThat(step.roofline(4.8e12)).isCloseTo(expected, withinPercentage(2));
    assertThat(whole.promptOperations(1)).isCloseTo(91.9e9 + 2.46e9, withinPercentage(1));
  }

  @Test
  void needsAGpuAndAName() {
    CommandRun cpu = CommandRun.of("bench", "--config", "m1-slice");
    assertThat(cpu.code()).isEqualTo(2);
    assertThat(cpu.err()).isEqualTo("minimax: --config: m1-slice needs --device cuda:N\n");
    CommandRun other = CommandRun.of("bench", "--config", "m2");
    assertThat(other.code()).isEqualTo(2);
    assertThat(other.err()).isEqualTo("minimax: --config: expected m1-slice, got m2\n");
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "--model x",
        "--threads 1",
        "--mapped",
        "--check-weights",
        "--kv-calibration x",
        "--budget 5"
      })
  void refusesWhatDoesNotApply(String option) {
    String[] all = ("bench --config m1-slice " + option).split(" ");
    CommandRun run = CommandRun.of((Object[]) all);
    assertThat(run.code()).isEqualTo(2);
    assertThat(run.err())
        .isEqualTo("minimax: " + option.split(" ")[0] + ": does not apply to --config m1-slice\n");
  }

  @Test
  void whatIsOfASliceNeedsOne() {
    CommandRun layers = CommandRun.of("bench", "--layers", 8);
    assertThat(layers.code()).isEqualTo(2);
    assertThat(layers.err()).isEqualTo("minimax: --layers: expected --config with it\n");
    assertThat(CommandRun.of("bench", "--prompt-tokens", 8).err())
        .isEqualTo("minimax: --prompt-tokens: expected --config with it\n");
    assertThat(CommandRun.of("bench", "--batch", "1,8").err())
        .isEqualTo("minimax: --batch: expected one number without --config\n");
  }
}
