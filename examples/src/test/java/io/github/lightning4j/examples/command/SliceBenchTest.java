package io.github.lightning4j.examples.command;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.SliceCost;
import io.github.lightning4j.minimax.WeightFormat;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import org.junit.jupiter.api.Test;

/** {@code bench --config m1-slice}: what is told without a GPU. */
final class SliceBenchTest {
  @Test
  void aStepOfTheWholeModelMovesThePublishedBytes() {
    SliceCost plain = new SliceCost(MiniMaxConfig.m1(80), WeightFormat.BF16);
    // 47.16 billion weights in 16 bits; two of 32 experts for one token.
    double states = 2.0 * 70 * 64 * 128 * 128 * 4;
    assertThat(plain.stepBytes(1, 0) - states).isCloseTo(94.4e9, within(0.1e9));
    // 40,960 bytes of keys and values a token.
    assertThat(plain.stepBytes(1, 1_000_000) - plain.stepBytes(1, 0))
        .isCloseTo(40.96e9, within(1e6));
    SliceCost coded = new SliceCost(MiniMaxConfig.m1(80), WeightFormat.INT8);
    assertThat(coded.stepBytes(1, 0) - states).isCloseTo(49.2e9, within(0.3e9));
    // 16 tokens meet 20.6 of 32 experts on average.
    double experts = (plain.stepBytes(16, 0) - plain.stepBytes(1, 0) - 15 * states) / 80;
    assertThat(experts / (2.0 * 3 * 6144 * 9216)).isCloseTo(18.6, within(0.1));
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
    SliceBench bench =
        new SliceBench(
            8, "int8/128", 4e12, List.of(new SliceBench.Run(1024, 0.1, List.of(step, step))));
    bench.print(new PrintWriter(text, true));
    assertThat(text.toString().lines())
        .hasSize(4)
        .anySatisfy(
            line ->
                assertThat(line.trim().split("\\s+"))
                    .containsExactly("1024", "8", "10240", "2.000", "50%", "3200", "6400"));
    assertThat(bench.json().get("runs")).hasSize(2);
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
}
