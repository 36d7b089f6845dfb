package io.github.lightning4j.cispo.head;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** Random operands, outputs and gradients of one size, and what the plain formula makes of them. */
final class HeadCase implements AutoCloseable {
  final MemoryScope scope = new MemoryScope();
  final HeadInput input;
  final HeadOutput output;
  final Tensor dLogProb;
  final Tensor dEntropy;
  final Tensor dHidden;
  final Tensor dHead;

  HeadCase(long tokens, long words, long width, DType hidden, DType head, double temperature) {
    this(
        Cases.normal(1, hidden, tokens, width),
        Cases.normal(2, head, words, width),
        temperature,
        width);
  }

  /** Rows {@code stride >= width} apart in all matrices. */
  static HeadCase strided(long tokens, long words, long width, long stride) {
    return new HeadCase(
        Cases.normal(1, DType.F32, tokens, stride),
        Cases.normal(2, DType.F32, words, stride),
        1,
        width);
  }

  private HeadCase(Tensor hidden, Tensor head, double temperature, long width) {
    scope.add(hidden);
    scope.add(head);
    long tokens = hidden.size(0);
    Random random = new Random(3);
    int[] targets = random.ints(tokens, 0, (int) head.size(0)).toArray();
    input =
        new HeadInput(
            hidden.narrow(1, 0, width),
            head.narrow(1, 0, width),
            scope.add(Tensor.of(targets, tokens)),
            temperature);
    output = new HeadOutput(zeros(tokens), scope.allocate(DType.F64, tokens), zeros(tokens));
    dLogProb = scope.add(Cases.normal(4, DType.F32, tokens));
    dEntropy = scope.add(Cases.normal(5, DType.F32, tokens));
    dHidden = zeros(tokens, hidden.size(1)).narrow(1, 0, width);
    dHead = zeros(head.size(0), head.size(1)).narrow(1, 0, width);
  }

  private Tensor zeros(long... shape) {
    return scope.allocate(DType.F32, shape);
  }

  HeadGradients gradients() {
    return HeadGradients.of(dLogProb).withDEntropy(dEntropy).toDHidden(dHidden).toDHead(dHead);
  }

  PlainHead plain() {
    long[] words = input.targets().toLongs();
    int[] targets = new int[words.length];
    for (int t = 0; t < targets.length; t++) {
      targets[t] = (int) words[t];
    }
    return new PlainHead(rows(input.hidden()), rows(input.head()), targets, input.temperature());
  }

  static double[] doubles(@Nullable Tensor tensor) {
    return tensor == null ? new double[0] : tensor.toDoubles();
  }

  private static double[][] rows(Tensor matrix) {
    double[][] rows = new double[(int) matrix.size(0)][];
    for (int i = 0; i < rows.length; i++) {
      rows[i] = matrix.select(0, i).toDoubles();
    }
    return rows;
  }

  @Override
  public void close() {
    scope.close();
  }
}
