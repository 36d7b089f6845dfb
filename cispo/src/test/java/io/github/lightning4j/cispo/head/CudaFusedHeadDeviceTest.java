package io.github.lightning4j.cispo.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The kernels of {@code head_forward.cu} against the formulas over whole logits, in double. */
@RequiresCuda
final class CudaFusedHeadDeviceTest {
  private Gpu gpu;
  private CudaFusedHead head;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    head = CudaFusedHead.on(gpu.stream());
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  /** Outputs for tokens, all NaN. */
  private HeadOutput outputs(long tokens) {
    return new HeadOutput(
        gpu.allocate(DType.F32, tokens),
        gpu.allocate(DType.F64, tokens),
        gpu.allocate(DType.F32, tokens));
  }

  private HeadOutput forward(Tensor hidden, Tensor words, Tensor targets, double temperature) {
    HeadOutput out = outputs(hidden.size(0));
    Tensor scratch = gpu.allocate(DType.F32, head.scratchElements(hidden.size(0), words.size(0)));
    head.forward(hidden, words, targets, temperature, scratch, out);
    return out;
  }

  private double[] entropies(HeadOutput out) {
    Tensor entropy = out.entropy();
    return entropy == null ? new double[0] : gpu.doubles(entropy);
  }

  private static double[][] matrix(double[] all, int columns) {
    double[][] rows = new double[all.length / columns][columns];
    for (int i = 0; i < all.length; i++) {
      rows[i / columns][i % columns] = all[i];
    }
    return rows;
  }

  private void assertMatches(
      String what, HeadOutput out, Tensor hidden, Tensor words, int[] targets, double temperature) {
    int width = (int) hidden.size(1);
    PlainHead plain =
        new PlainHead(
            matrix(gpu.doubles(hidden), width),
            matrix(gpu.doubles(words), width),
            targets,
            temperature);
    Closeness.assertNmse(what, gpu.doubles(out.logProb()), plain.logProb, 1e-10, 1e-4);
    Closeness.assertNmse(what, gpu.doubles(out.logSumExp()), plain.logSumExp, 1e-10, 1e-4);
    Closeness.assertWithin(what + " entropy", entropies(out), plain.entropy, 2e-5);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 8, 1",
    "1, 2, 64, 0.5",
    "15, 63, 72, 1",
    "16, 65, 200, 3",
    "63, 300, 40, 1",
    "64, 641, 8, 1",
    "65, 127, 72, 1",
    "130, 1300, 24, 0.7"
  })
  void matchesThePlainFormula(int tokens, int vocabulary, int width, double temperature) {
    Tensor hidden = gpu.normal(1, DType.BF16, tokens, width);
    Tensor words = gpu.normal(2, DType.BF16, vocabulary, width);
    int[] targets = new int[tokens];
    for (int t = 0; t < tokens; t++) {
      targets[t] = t * 31 % vocabulary;
    }
    // The small tile takes one type of targets, the large one the other.
    Tensor there = Tensor.of(targets, tokens);
    if (tokens > 64) {
      long[] wide = there.toLongs();
      there.close();
      there = Tensor.of(wide, tokens);
    }
    HeadOutput out = forward(hidden, words, gpu.up(there), temperature);
    assertMatches(tokens + " " + vocabulary, out, hidden, words, targets, temperature);
  }

  @Test
  void keepsTheDigitsOfNearlyCertainTokens() {
    // Two words: z = 20 and 0, so log p = -log1p(e^-20).
    Tensor hidden = gpu.up(ofBf16(new double[] {20, 0, 0, 0, 0, 0, 0, 0}, 1));
    double[] two = new double[16];
    two[0] = 1;
    Tensor words = gpu.up(ofBf16(two, 2));
    HeadOutput out = forward(hidden, words, gpu.up(Tensor.of(new int[] {0}, 1)), 1);
    double expected = -Math.log1p(Math.exp(-20));
    assertThat(gpu.doubles(out.logProb())[0] / expected).isBetween(1 - 1e-6, 1 + 1e-6);
    double entropy = -(Math.exp(expected) * expected + Math.exp(-20 + expected) * (-20 + expected));
    assertThat(entropies(out)[0] / entropy).isBetween(1 - 1e-5, 1 + 1e-5);
  }

  private static Tensor ofBf16(double[] values, long rows) {
    Tensor tensor = Tensor.allocate(DType.BF16, rows, values.length / rows);
    for (int i = 0; i < values.length; i++) {
      tensor.accessor().set(i, values[i]);
    }
    return tensor;
  }

  @Test
  void takesStrides() {
    Tensor hidden = gpu.normal(1, DType.BF16, 5, 48).narrow(1, 8, 32);
    Tensor words = gpu.normal(2, DType.BF16, 70, 40).narrow(1, 8, 32);
    int[] targets = {0, 69, 5, 64, 63};
    HeadOutput out = forward(hidden, words, gpu.up(Tensor.of(targets, 5)), 1);
    assertMatches("strided", out, hidden, words, targets, 1);
  }

  @Test
  void spoilsOnlyTokensThatAreBroken() {
    Tensor host = Cases.normal(1, DType.BF16, 6, 16);
    host.accessor().set(16 + 3, Double.NaN);
    host.accessor().set(32 + 5, Double.POSITIVE_INFINITY);
    Tensor hidden = gpu.up(host);
    Tensor words = gpu.normal(2, DType.BF16, 70, 16);
    HeadOutput out =
        forward(hidden, words, gpu.up(Tensor.of(new int[] {3, 3, 3, -1, 70, 69}, 6)), 1);
    for (double[] all :
        new double[][] {gpu.doubles(out.logProb()), gpu.doubles(out.logSumExp()), entropies(out)}) {
      for (int t = 0; t < 6; t++) {
        assertThat(Double.isNaN(all[t])).as("token %s", t).isEqualTo(t > 0 && t < 5);
      }
    }
  }

  @Test
  void repeatsItsBitsInAGraphWithoutEntropyAndTakesNoMemory() {
    Tensor hidden = gpu.normal(1, DType.BF16, 3, 64);
    Tensor words = gpu.normal(2, DType.BF16, 200, 64);
    Tensor targets = gpu.up(Tensor.of(new int[] {1, 2, 199}, 3));
    double[] first = gpu.doubles(forward(hidden, words, targets, 1).logProb());
    Tensor scratch = gpu.allocate(DType.F32, head.scratchElements(3, 200));
    HeadOutput out = HeadOutput.of(gpu.allocate(DType.F32, 3), gpu.allocate(DType.F64, 3));
    long before = CudaMemory.liveBytes();
    try (CudaGraph graph =
        CudaGraph.capture(
            gpu.stream(), () -> head.forward(hidden, words, targets, 1, scratch, out))) {
      for (int i = 0; i < 3; i++) {
        gpu.stream().clear(out.logProb());
        graph.launch(gpu.stream());
        gpu.stream().synchronize();
      }
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    assertThat(gpu.doubles(out.logProb())).isEqualTo(first);
  }

  @Test
  void doesNothingToNoTokensAndRefusesWhatDoesNotFit() {
    Tensor words = gpu.normal(2, DType.BF16, 5, 8);
    HeadOutput none = outputs(0);
    Tensor nothing = gpu.allocate(DType.F32, 0);
    Tensor noTargets = gpu.allocate(DType.I32, 0);
    head.forward(gpu.allocate(DType.BF16, 0, 8), words, noTargets, 1, nothing, none);
    Tensor narrow = gpu.normal(1, DType.BF16, 0, 7);
    assertThatThrownBy(() -> head.forward(narrow, words, noTargets, 1, nothing, none))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("hidden: expected rows of a multiple of 8 elements");
    Tensor hidden = gpu.normal(1, DType.BF16, 1, 8);
    Tensor target = gpu.up(Tensor.of(new int[] {0}, 1));
    Tensor scratch = gpu.allocate(DType.F32, head.scratchElements(1, 5));
    HeadOutput same = HeadOutput.of(scratch.narrow(0, 0, 1), gpu.allocate(DType.F64, 1));
    assertThatThrownBy(() -> head.forward(hidden, words, target, 1, scratch, same))
        .hasMessageContaining("logProb: expected memory of its own");
    assertThatThrownBy(() -> head.forward(hidden, words, target, 0, scratch, outputs(1)))
        .hasMessage("temperature: expected a finite number > 0, got 0.0");
  }
}
