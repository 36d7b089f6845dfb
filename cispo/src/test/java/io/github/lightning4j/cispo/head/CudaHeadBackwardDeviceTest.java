package io.github.lightning4j.cispo.head;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The kernels of {@code head_backward.cu} against the formulas over whole logits, in double. */
@RequiresCuda
final class CudaHeadBackwardDeviceTest {
  private Gpu gpu;

  @BeforeEach
  void open() {
    gpu = new Gpu();
  }

  @AfterEach
  void close() {
    gpu.close();
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 8, 1",
    "1, 2, 64, 0.5",
    "15, 63, 72, 1",
    "17, 65, 200, 3",
    "64, 130, 8, 1",
    "65, 127, 72, 1",
    "130, 140, 136, 0.7"
  })
  void matchesThePlainFormula(int tokens, int vocabulary, int width, double temperature) {
    CudaHeadCase of = new CudaHeadCase(gpu, tokens, vocabulary, width, temperature);
    of.backward(of.all());
    of.assertMatches(tokens + " " + vocabulary + " " + width);
  }

  @Test
  void takesStridesAndWritesNothingBesideItsRows() {
    Tensor hidden = gpu.normal(1, DType.BF16, 19, 48).narrow(1, 8, 24);
    Tensor head = gpu.normal(2, DType.BF16, 70, 40).narrow(1, 8, 24);
    CudaHeadCase of = new CudaHeadCase(gpu, hidden, head, 1, 31);
    Tensor wide = of.outDHead.strided(0, new long[] {69, 31}, new long[] {31, 1}).narrow(1, 24, 7);
    double[] beside = gpu.doubles(wide);
    of.backward(of.all());
    of.assertMatches("strided");
    assertThat(gpu.doubles(wide)).isEqualTo(beside);
  }

  @Test
  void onlyWhatIsWantedIsWritten() {
    CudaHeadCase of = new CudaHeadCase(gpu, 9, 40, 16, 1);
    HeadGradients some = HeadGradients.of(of.dLogProb);
    double[] log = gpu.doubles(of.dLogProb);
    double[] none = new double[9];
    PlainHead plain = of.plain(false);
    double[] before = of.dHead();
    of.backward(some);
    of.backward(some.toDHidden(of.outDHidden));
    Closeness.assertNmse("dHidden", of.dHidden(), plain.dHidden(log, none), 1e-5);
    assertThat(of.dHead()).isEqualTo(before);
    before = of.dHidden();
    of.backward(some.toDHead(of.outDHead));
    Closeness.assertNmse("dHead", of.dHead(), plain.dHead(log, none), 1e-5);
    assertThat(of.dHidden()).isEqualTo(before);
  }

  @Test
  void addsToTheGradientOfTheHead() {
    CudaHeadCase of = new CudaHeadCase(gpu, 9, 40, 16, 1);
    of.backward(of.all());
    double[] once = of.dHead();
    of.backward(of.all().addingToDHead(of.outDHead));
    double[] twice = of.dHead();
    for (int i = 0; i < once.length; i++) {
      assertThat(twice[i]).isEqualTo(2 * once[i]);
    }
  }

  /** A padded row may hold anything, its target too: 0 times NaN must not reach the head. */
  @Test
  void rowsWithoutGradientsAreNotRead() {
    CudaHeadCase of = new CudaHeadCase(gpu, 19, 45, 40, 1);
    clear(of.dLogProb, 4);
    clear(of.dEntropy, 4);
    clear(of.dEntropy, 5); // its log-probability has a gradient
    of.forward();
    of.backward(of.all());
    double[] dHead = of.dHead();
    double[] dHidden = of.dHidden();
    spoil(of.hidden.select(0, 4));
    gpu.stream().copy(gpu.up(Tensor.of(new int[] {-100}, 1)), of.targets.narrow(0, 4, 1));
    of.forward();
    of.backward(of.all());
    assertThat(of.dHead()).isEqualTo(dHead);
    assertThat(of.dHidden()).isEqualTo(dHidden);
    assertThat(gpu.doubles(of.outDHidden.select(0, 4))).containsOnly(0);
    assertThat(gpu.doubles(of.outDHidden.select(0, 5))).doesNotContain(0);
  }

  private void clear(Tensor values, int at) {
    gpu.stream().clear(values.narrow(0, at, 1));
  }

  private void spoil(Tensor row) {
    Tensor host = fill(Tensor.allocate(row.dtype(), row.elements()), Double.NaN);
    gpu.stream().copy(gpu.up(host), row);
  }

  private static Tensor fill(Tensor tensor, double value) {
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.accessor().set(i, value);
    }
    return tensor;
  }

  @Test
  void aNanWithGradientsIsSeen() {
    CudaHeadCase of = new CudaHeadCase(gpu, 3, 20, 8, 1);
    spoil(of.hidden.select(0, 1));
    of.forward();
    of.backward(of.all());
    assertThat(gpu.doubles(of.outDHidden.select(0, 1))).containsOnly(Double.NaN);
    assertThat(gpu.doubles(of.outDHidden.select(0, 0))).doesNotContain(Double.NaN);
    assertThat(of.dHead()).containsOnly(Double.NaN);
  }

  /** One of two words has the probability 1 - e^-20, whose gradient keeps its digits. */
  @Test
  void keepsTheDigitsOfNearlyCertainTokens() {
    Tensor hidden = fill(Tensor.allocate(DType.BF16, 1, 8), 0);
    hidden.accessor().set(0, 20);
    Tensor head = fill(Tensor.allocate(DType.BF16, 2, 8), 0);
    head.accessor().set(0, 1);
    CudaHeadCase of = new CudaHeadCase(gpu, gpu.up(hidden), gpu.up(head), 1, 8);
    gpu.stream().clear(of.targets);
    of.forward();
    of.backward(HeadGradients.of(of.dLogProb).toDHidden(of.outDHidden).toDHead(of.outDHead));
    double rest = gpu.doubles(of.dLogProb)[0] / (1 + Math.exp(20));
    double[] dHead = of.dHead();
    assertThat(of.dHidden()[0] / rest).isBetween(0.995, 1.005);
    assertThat(dHead[0] / (20 * rest)).isBetween(0.995, 1.005);
    assertThat(dHead[8] / (-20 * rest)).isBetween(0.995, 1.005);
  }

  @Test
  void repeatsItsBitsInAGraphAndTakesNoMemory() {
    CudaHeadCase of = new CudaHeadCase(gpu, 30, 200, 64, 1);
    of.backward(of.all());
    double[] dHidden = of.dHidden();
    double[] dHead = of.dHead();
    long before = CudaMemory.liveBytes();
    try (CudaGraph graph = CudaGraph.capture(gpu.stream(), () -> of.backward(of.all()))) {
      for (int i = 0; i < 2; i++) {
        gpu.stream().clear(of.scratch);
        graph.launch(gpu.stream());
        gpu.stream().synchronize();
      }
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    assertThat(of.dHidden()).isEqualTo(dHidden);
    assertThat(of.dHead()).isEqualTo(dHead);
  }

  @Test
  void noTokensHaveNoGradients() {
    Tensor none = gpu.allocate(DType.F32, 0);
    Tensor head = gpu.normal(2, DType.BF16, 5, 8);
    Tensor out = gpu.normal(3, DType.F32, 5, 8);
    CudaFusedHead.on(gpu.stream())
        .backward(
            gpu.allocate(DType.BF16, 0, 8),
            head,
            gpu.allocate(DType.I32, 0),
            1,
            HeadOutput.of(none, gpu.allocate(DType.F64, 0)),
            HeadGradients.of(none).toDHead(out),
            none);
    double[] zeros = new double[40];
    Arrays.fill(zeros, 0.0);
    assertThat(gpu.doubles(out)).isEqualTo(zeros);
  }

  @Test
  void refusesWhatDoesNotFit() {
    CudaHeadCase of = new CudaHeadCase(gpu, 3, 20, 8, 1);
    HeadGradients gradients = HeadGradients.of(of.dLogProb);
    assertThatThrownBy(() -> of.backward(gradients.toDHidden(of.outDHead)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith("outDHidden: expected shape [3, 8], got [20, 8]");
    assertThatThrownBy(() -> of.backward(HeadGradients.of(of.dEntropy.narrow(0, 0, 2))))
        .hasMessageStartingWith("dLogProb: expected shape [3], got [2]");
    Tensor bf16 = gpu.allocate(DType.BF16, 20, 8);
    assertThatThrownBy(() -> of.backward(gradients.toDHead(bf16)))
        .hasMessageStartingWith("outDHead: expected dtype F32, got BF16");
    Tensor over = of.outDHead.strided(0, new long[] {3, 8}, new long[] {8, 1});
    assertThatThrownBy(() -> of.backward(gradients.toDHidden(over).toDHead(of.outDHead)))
        .hasMessageStartingWith("outDHead: expected memory of its own, got an overlap with outDH");
    HeadOutput without = HeadOutput.of(of.out.logProb(), of.out.logSumExp());
    CudaFusedHead operator = CudaFusedHead.on(gpu.stream());
    assertThatThrownBy(
            () ->
                operator.backward(of.hidden, of.head, of.targets, 1, without, of.all(), of.scratch))
        .hasMessage("forward: expected entropies since dEntropy is given");
    assertThatThrownBy(
            () ->
                operator.backward(of.hidden, of.head, of.targets, 1, of.out, of.all(), of.dLogProb))
        .hasMessageStartingWith("scratch: expected shape [");
    long elements = of.scratch.elements();
    Tensor odd = gpu.allocate(DType.F32, elements + 1).narrow(0, 1, elements);
    assertThatThrownBy(
            () -> operator.backward(of.hidden, of.head, of.targets, 1, of.out, of.all(), odd))
        .hasMessageStartingWith("scratch: expected memory at a multiple of 16 bytes");
  }
}
