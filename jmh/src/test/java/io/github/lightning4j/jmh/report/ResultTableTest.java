package io.github.lightning4j.jmh.report;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.kernel.Isa;
import io.github.lightning4j.core.kernel.MachineLimits;
import io.github.lightning4j.core.kernel.MachineLimits.Rate;
import io.github.lightning4j.jmh.AttentionSize;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Operations, bytes and shares, worked out by hand. */
final class ResultTableTest {
  /** 100 GFLOP/s, 1 TFLOP/s of tiles, 10 GB/s on one thread. */
  private static final Peaks PEAKS =
      new Peaks(
          Map.of(
              1,
              new MachineLimits(
                  Isa.AVX512,
                  1,
                  new Rate(1e11, 1e11),
                  Optional.of(new Rate(1e12, 1e12)),
                  new Rate(2e10, 2e10),
                  new Rate(1e10, 1e10))));

  private static Work work(Kernel kernel, Pass pass, String size) {
    return Work.of(Samples.call(kernel, pass, size, 1));
  }

  @Test
  void countsTheOperationsOfEachAlgorithm() {
    // 10 tokens, 2 heads of 4: 20 times 4 x 16 + 33 x 8 = 328; q, k, v, out are 4 x 80 floats.
    assertThat(work(Kernel.LIGHTNING, Pass.FORWARD, "2x4x10")).isEqualTo(new Work(6560, 1280));
    // And 20 times 10 x 16 + 3 x 33 x 8 = 952; 7 more tensors.
    assertThat(work(Kernel.TORCH_LIGHTNING, Pass.FORWARD_BACKWARD, "2x4x10"))
        .isEqualTo(new Work(6560 + 19040, 3520));
    // 55 pairs a head, 2 heads, two products of 4 multiply-adds.
    assertThat(work(Kernel.SOFTMAX, Pass.FORWARD, "2x4x10"))
        .isEqualTo(new Work(55 * 2 * 2 * 4 * 2, 1280));
    // Seven products.
    assertThat(work(Kernel.TORCH_SOFTMAX, Pass.FORWARD_BACKWARD, "2x4x10"))
        .isEqualTo(new Work(55 * 2 * 7 * 4 * 2, 3520));
    // 3 sequences, 2 heads: 5 x 16 operations and 8 x 16 bytes each.
    assertThat(
            Work.of(
                new Measurement(
                    Kernel.JAVA, Pass.DECODE, DType.F32, 3, AttentionSize.of("2x4"), 1, 1)))
        .isEqualTo(new Work(480, 768));
  }

  @Test
  void tellsRatesAndShares() {
    // 16 x 64, 1024 tokens: 16384 x (4 x 4096 + 66 x 64) = 337,641,472 operations, 16,777,216
    // bytes.
    Measurement call = Samples.call(Kernel.LIGHTNING, Pass.FORWARD, "16x64x1024", 6_752_829);
    assertThat(new ResultTable(PEAKS).row(call))
        .isEqualTo(
            "| lightning | forward | f32 | 16 x 64 | 1 | 1024 | 1 | 6752829 | 50.0 | 50 %"
                + " | 2.5 | 25 % |");
    assertThat(new ResultTable(Peaks.UNKNOWN).row(call))
        .endsWith("| 6752829 | 50.0 | - | 2.5 | - |");
  }

  @Test
  void bf16IsHeldAgainstTilesWhereThereAreAny() {
    Measurement call =
        new Measurement(
            Kernel.LIGHTNING,
            Pass.FORWARD,
            DType.BF16,
            1,
            AttentionSize.of("16x64x1024"),
            1,
            6_752_829);
    assertThat(new ResultTable(PEAKS).row(call)).endsWith("| 50.0 | 5 % | 1.2 | 12 % |");
  }

  @Test
  void putsPeersBesideOneAnother() {
    StringWriter text = new StringWriter();
    new ResultTable(Peaks.UNKNOWN)
        .print(
            List.of(
                Samples.call(Kernel.SOFTMAX, Pass.FORWARD, "2x4x10", 1),
                Samples.call(Kernel.JAVA, Pass.DECODE, "2x4", 1),
                Samples.call(Kernel.LIGHTNING, Pass.FORWARD, "2x4x20", 1),
                Samples.call(Kernel.LIGHTNING, Pass.FORWARD, "2x4x10", 1)),
            new PrintWriter(text, true));
    assertThat(text.toString().lines().skip(2))
        .extracting(line -> line.split(" \\| ")[0] + line.split(" \\| ")[5])
        .containsExactly(
            "| lightning10", "| softmax, oneDNN10", "| lightning20", "| lightning, Java loop1");
  }
}
