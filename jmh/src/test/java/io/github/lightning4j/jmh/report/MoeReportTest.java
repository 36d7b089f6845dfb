package io.github.lightning4j.jmh.report;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.kernel.Isa;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.core.kernel.MachineLimits.Rate;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

/** Rates and ratios of mixtures, worked out by hand; the program from files to table. */
final class MoeReportTest {
  private static final String JMH =
      """
      [
        {"benchmark": "io.github.lightning4j.jmh.MoeForwardBenchmark.forward",
         "jvmArgs": ["-Dlightning4j.threads=2"],
         "params": {"tokens": "512", "weights": "f32"},
         "primaryMetric": {"scorePercentiles": {"50.0": 56371445}, "scoreUnit": "ns/op"}},
        {"benchmark": "io.github.lightning4j.jmh.RouterBenchmark.route", "params": {}}
      ]
      """;

  private static final String TORCH =
      """
      {"threads": 2, "results": [
        {"op": "moe_fwd", "impl": "eager", "dtype": "f32", "T": 512, "H": 1024, "I": 1792, "E": 8,
         "K": 2, "median_s": 0.2},
        {"op": "moe_fwd", "impl": "grouped_mm", "dtype": "f32", "T": 512, "H": 1024, "I": 1792,
         "E": 8, "K": 2, "median_s": 0.11274289},
        {"op": "moe_fwd", "impl": "tiny", "dtype": "f32", "T": 512, "H": 64, "I": 1792, "E": 8,
         "K": 2, "median_s": 0.001},
        {"op": "moe_fwd", "dtype": "f32", "T": 1, "error": "no"},
        {"op": "sdpa_causal_fwd", "dtype": "f32"}
      ]}
      """;

  /** 400 GFLOP/s and 10 GB/s on two threads. */
  private static final Peaks PEAKS =
      new Peaks(
          Map.of(
              2,
              new MachineLimits(
                  Isa.AVX2,
                  2,
                  new Rate(2e11, 4e11),
                  Optional.empty(),
                  new Rate(1e10, 1e10),
                  new Rate(1e9, 1e9))));

  @TempDir private Path folder;

  @Test
  void tellsRatesSharesAndTheRatioToTheBestOfPyTorch() {
    List<MoeCall> calls =
        List.of(
            MoeCall.ofJmh(Samples.json(JMH), 1).get(0),
            MoeCall.ofTorch(Samples.json(TORCH)).get(0),
            MoeCall.ofTorch(Samples.json(TORCH)).get(1));
    // 6 x 1024 x 1792 x 1024 = 11,274,289,152 operations, 8 experts of 22,020,096 bytes.
    assertThat(MoeReport.row(calls.get(0), calls, PEAKS))
        .isEqualTo("| moe | forward | f32 | 512 | 2 | 56.371 | 200.0 | 50 % | 3.1 | 31 % | 2.00 |");
    assertThat(MoeReport.row(calls.get(1), calls, Peaks.UNKNOWN))
        .isEqualTo(
            "| PyTorch eager | forward | f32 | 512 | 2 | 200.000 | 56.4 | - | 0.9 | - | - |");
  }

  @Test
  void countsTheBytesOfTheExpertsHit() {
    // 1 token hits 2 experts, 2 tokens 2 + 2 x 3/4.
    double expert = 3.0 * 1024 * 1792;
    assertThat(call("bf16", 1).weightBytes()).isEqualTo(2 * expert * 2);
    assertThat(call("bf16", 2).weightBytes()).isEqualTo(3.5 * expert * 2);
    assertThat(call("int8", 1).weightBytes()).isEqualTo(2 * expert * 130 / 128);
    assertThat(call("int4", 1).weightBytes()).isEqualTo(2 * expert * 67 / 128);
    assertThat(new MoeCall(MoeCall.OURS, Pass.FORWARD_BACKWARD, "f32", 1, 1, 1).operations())
        .isEqualTo(3 * call("f32", 1).operations());
  }

  private static MoeCall call(String weights, int tokens) {
    return new MoeCall(MoeCall.OURS, Pass.FORWARD, weights, tokens, 1, 1);
  }

  @Test
  void printsOursBeforePyTorchs() throws IOException {
    Path jmh = Files.writeString(folder.resolve("jmh.json"), JMH);
    Path torch = Files.writeString(folder.resolve("torch.json"), TORCH);
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    CommandLine command =
        MoeReport.command().setOut(new PrintWriter(out)).setErr(new PrintWriter(err, true));
    assertThat(command.execute(jmh.toString(), "--torch", torch.toString()))
        .as(err.toString())
        .isZero();
    assertThat(out.toString().lines().skip(2))
        .extracting(line -> line.split(" \\| ")[0])
        .containsExactly("| moe", "| PyTorch eager", "| PyTorch grouped_mm");
    assertThat(command.execute(torch.toString())).isEqualTo(1);
    assertThat(err.toString()).contains("torch.json: expected an array of results");
  }
}
