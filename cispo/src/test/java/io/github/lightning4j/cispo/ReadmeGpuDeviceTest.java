package io.github.lightning4j.cispo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.cispo.head.CudaFusedHead;
import io.github.lightning4j.cispo.head.FusedHead;
import io.github.lightning4j.cispo.head.HeadGradients;
import io.github.lightning4j.cispo.head.HeadInput;
import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;

/**
 * The snippet of README.md for GPUs, run against the CPU; and the check that it is the one shown.
 */
@RequiresCuda
final class ReadmeGpuDeviceTest {
  private static final int TOKENS = 12;
  private static final int WORDS = 40;
  private static final int WIDTH = 16;

  @Test
  void runs() {
    try (Gpu gpu = new Gpu();
        MemoryScope scope = new MemoryScope()) {
      CudaStream stream = gpu.stream();
      Tensor hidden = gpu.normal(1, DType.BF16, TOKENS, WIDTH);
      Tensor head = gpu.normal(2, DType.BF16, WORDS, WIDTH);
      int[] words = new int[TOKENS];
      Arrays.setAll(words, t -> t * 7 % WORDS);
      Tensor targets = gpu.up(Tensor.of(words, TOKENS));
      HeadInput input =
          new HeadInput(gpu.down(hidden), gpu.down(head), scope.add(Tensor.of(words, TOKENS)), 1.5);
      HeadOutput expected =
          HeadOutput.of(scope.allocate(DType.F32, TOKENS), scope.allocate(DType.F64, TOKENS));
      FusedHead reference = FusedHead.of(Backend.REFERENCE);
      reference.forward(input, expected);
      double[] logProbs = expected.logProb().toDoubles();
      double[][] rows = {Arrays.copyOf(logProbs, 5), Arrays.copyOfRange(logProbs, 5, TOKENS)};
      double[][] old = {new double[5], new double[TOKENS - 5]};
      for (int t = 0; t < TOKENS; t++) {
        old[t / 5 == 0 ? 0 : 1][t < 5 ? t : t - 5] = logProbs[t] + (t % 3 - 1) * 0.3;
      }
      TokenBatch batch = TokenBatch.ragged(rows, old, new double[] {1, -0.5});
      PolicyLoss loss = Cispo.maxWeight(1.2);

      double temperature = 1.5;
      Tensor dLogProb = gpu.allocate(DType.F32, TOKENS);
      Tensor dHidden = gpu.allocate(DType.F32, TOKENS, WIDTH);
      Tensor dHead = gpu.allocate(DType.F32, WORDS, WIDTH);
      HeadOutput out =
          HeadOutput.of(gpu.allocate(DType.F32, TOKENS), gpu.allocate(DType.F64, TOKENS));
      CudaFusedHead sizes = CudaFusedHead.on(stream);
      Tensor scratch = gpu.allocate(DType.F32, sizes.scratchElements(TOKENS, WORDS));
      Tensor block = gpu.allocate(DType.F32, sizes.backwardScratchElements(TOKENS, WORDS));
      double value;
      // snippet
      CudaFusedHead fused = CudaFusedHead.on(stream);
      HeadGradients gradients = HeadGradients.of(dLogProb).toDHidden(dHidden).toDHead(dHead);
      try (CudaPolicyLoss there = CudaPolicyLoss.of(stream, loss, batch)) { // once a rollout
        fused.forward(hidden, head, targets, temperature, scratch, out);
        there.evaluate(out.logProb(), dLogProb);
        fused.backward(hidden, head, targets, temperature, out, gradients, block);
        value = there.loss(); // waits for the stream, as diagnostics() does
      }
      // end of snippet

      LossResult result = loss.evaluate(batch);
      assertThat(value).isCloseTo(result.loss(), within(1e-6));
      Tensor slope = scope.allocate(DType.F32, TOKENS);
      double[] flat = Batches.flat(result.gradient());
      for (int t = 0; t < TOKENS; t++) {
        slope.accessor().set(t, flat[t]);
      }
      HeadGradients wanted =
          HeadGradients.of(slope)
              .toDHidden(scope.allocate(DType.F32, TOKENS, WIDTH))
              .toDHead(scope.allocate(DType.F32, WORDS, WIDTH));
      reference.backward(input, expected, wanted);
      assertClose(gpu.doubles(dHidden), wanted.outDHidden());
      assertClose(gpu.doubles(dHead), wanted.outDHead());
    }
  }

  private static void assertClose(double[] actual, Tensor expected) {
    Closeness.assertNmse("gradient", actual, expected.toDoubles(), 1e-5);
  }

  @Test
  void isTheOneShown() throws IOException {
    Path module = Path.of(System.getProperty("lightning4j.repository"), "cispo");
    String source =
        Files.readString(
            module.resolve("src/test/java/io/github/lightning4j/cispo/ReadmeGpuDeviceTest.java"));
    int from = source.indexOf("// snippet\n") + "// snippet\n".length();
    String snippet = source.substring(from, source.indexOf("// end of snippet", from));
    assertThat(Files.readString(module.resolve("README.md")))
        .contains(snippet.stripIndent().strip());
  }
}
