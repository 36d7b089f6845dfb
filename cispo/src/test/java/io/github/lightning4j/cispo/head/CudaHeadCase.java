package io.github.lightning4j.cispo.head;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import java.util.Arrays;

/** A forward pass on a GPU with random gradients, and what the plain formula makes of them. */
final class CudaHeadCase {
  /** fp32 sums, and now and then a gradient that they round to the other side. */
  private static final double LIMIT = 1e-8;

  private final Gpu gpu;
  private final CudaFusedHead operator;
  final double temperature;
  final Tensor hidden;
  final Tensor head;
  final Tensor targets;
  final HeadOutput out;
  final Tensor dLogProb;
  final Tensor dEntropy;
  final Tensor outDHidden;
  final Tensor outDHead;
  final Tensor scratch;

  CudaHeadCase(Gpu gpu, int tokens, int words, int width, double temperature) {
    this(
        gpu,
        gpu.normal(1, DType.BF16, tokens, width),
        gpu.normal(2, DType.BF16, words, width),
        temperature,
        width + 3);
  }

  /** Targets in both integer types; gradients in rows {@code pitch} apart. */
  CudaHeadCase(Gpu gpu, Tensor hidden, Tensor head, double temperature, int pitch) {
    this.gpu = gpu;
    this.operator = CudaFusedHead.on(gpu.stream());
    this.hidden = hidden;
    this.head = head;
    this.temperature = temperature;
    int tokens = (int) hidden.size(0);
    int words = (int) head.size(0);
    int[] chosen = new int[tokens];
    Arrays.setAll(chosen, t -> (t * 31 + 5) % words);
    long[] wide = Arrays.stream(chosen).asLongStream().toArray();
    targets = gpu.up(tokens > 64 ? Tensor.of(wide, tokens) : Tensor.of(chosen, tokens));
    out =
        new HeadOutput(
            gpu.allocate(DType.F32, tokens),
            gpu.allocate(DType.F64, tokens),
            gpu.allocate(DType.F32, tokens));
    dLogProb = gpu.normal(4, DType.F32, tokens);
    dEntropy = gpu.normal(5, DType.F32, tokens);
    outDHidden = gpu.normal(6, DType.F32, tokens, pitch).narrow(1, 0, hidden.size(1));
    outDHead = gpu.normal(7, DType.F32, words, pitch).narrow(1, 0, hidden.size(1));
    scratch = gpu.allocate(DType.F32, operator.backwardScratchElements(tokens, words));
    forward();
  }

  void forward() {
    Tensor parts = gpu.allocate(DType.F32, operator.scratchElements(hidden.size(0), head.size(0)));
    operator.forward(hidden, head, targets, temperature, parts, out);
  }

  HeadGradients all() {
    return HeadGradients.of(dLogProb)
        .withDEntropy(dEntropy)
        .toDHidden(outDHidden)
        .toDHead(outDHead);
  }

  void backward(HeadGradients gradients) {
    operator.backward(hidden, head, targets, temperature, out, gradients, scratch);
  }

  /** The plain formula with the rounding that the GPU states, or without. */
  PlainHead plain(boolean rounded) {
    int[] chosen = Arrays.stream(gpu.down(targets).toLongs()).mapToInt(t -> (int) t).toArray();
    PlainHead plain = new PlainHead(rows(hidden), rows(head), chosen, temperature);
    return rounded ? plain.rounding(CudaHeadCase::bf16) : plain;
  }

  private static double bf16(double x) {
    return Bfloat16.toFloat(Bfloat16.fromFloat((float) x));
  }

  private double[][] rows(Tensor matrix) {
    double[] all = gpu.doubles(matrix);
    int width = (int) matrix.size(1);
    double[][] rows = new double[all.length / width][];
    Arrays.setAll(rows, i -> Arrays.copyOfRange(all, i * width, (i + 1) * width));
    return rows;
  }

  double[] dHidden() {
    return gpu.doubles(outDHidden);
  }

  double[] dHead() {
    return gpu.doubles(outDHead);
  }

  /** Both gradients are those of the formula. */
  void assertMatches(String what) {
    double[] log = gpu.doubles(dLogProb);
    double[] entropy = gpu.doubles(dEntropy);
    PlainHead rounded = plain(true);
    PlainHead exact = plain(false);
    assertMatches(
        what + " dHidden", dHidden(), rounded.dHidden(log, entropy), exact.dHidden(log, entropy));
    assertMatches(what + " dHead", dHead(), rounded.dHead(log, entropy), exact.dHead(log, entropy));
  }

  private static void assertMatches(
      String what, double[] actual, double[] rounded, double[] exact) {
    // a vocabulary of one word has no gradients
    Closeness.assertNmse(what, actual, rounded, LIMIT, 1e-4);
    Closeness.assertNmse(what, actual, exact, 1e-5, 1e-4);
  }
}
