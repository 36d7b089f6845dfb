package io.github.lightning4j.cispo.head;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every bad argument is refused by its name. */
final class HeadArgumentsTest {
  private final MemoryScope scope = new MemoryScope();
  private final Tensor hidden = zeros(3, 4);
  private final Tensor head = zeros(5, 4);
  private final Tensor targets = scope.add(Tensor.of(new int[] {0, 4, 2}, 3));
  private final HeadInput input = new HeadInput(hidden, head, targets, 1);
  private final HeadOutput output = HeadOutput.of(zeros(3), sums(3));
  private final FusedHead fused = FusedHead.of(Backend.REFERENCE);

  @AfterEach
  void close() {
    scope.close();
  }

  private Tensor zeros(long... shape) {
    return scope.allocate(DType.F32, shape);
  }

  private Tensor sums(long... shape) {
    return scope.allocate(DType.F64, shape);
  }

  private static void refuses(Runnable call, String message) {
    assertThatThrownBy(call::run)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }

  @Test
  void types() {
    Tensor f16 = scope.allocate(DType.F16, 3, 4);
    refuses(
        () -> new HeadInput(f16, head, targets, 1),
        "hidden: expected dtype in [F32, BF16], got F16");
    refuses(
        () -> new HeadInput(hidden, head, zeros(3), 1),
        "targets: expected dtype in [I64, I32], got F32");
    Tensor half = scope.allocate(DType.BF16, 3);
    refuses(
        () -> fused.forward(input, HeadOutput.of(half, sums(3))),
        "logProb: expected dtype F32, got BF16");
    refuses(
        () -> fused.forward(input, HeadOutput.of(zeros(3), zeros(3))),
        "logSumExp: expected dtype F64, got F32");
  }

  @Test
  void shapes() {
    refuses(
        () -> new HeadInput(hidden, zeros(5, 3), targets, 1),
        "head: expected shape [5, 4], got [5, 3]");
    refuses(
        () -> new HeadInput(hidden, zeros(0, 4), targets, 1),
        "head: expected a word or more, got none");
    refuses(
        () -> new HeadInput(zeros(2, 4), head, targets, 1), "targets: expected shape [2], got [3]");
    refuses(
        () -> fused.forward(input, HeadOutput.of(zeros(3), sums(2))),
        "logSumExp: expected shape [3], got [2]");
    HeadGradients gradients = HeadGradients.of(zeros(3));
    refuses(
        () -> fused.backward(input, output, HeadGradients.of(zeros(4))),
        "dLogProb: expected shape [3], got [4]");
    refuses(
        () -> fused.backward(input, output, gradients.toDHidden(zeros(5, 4))),
        "outDHidden: expected shape [3, 4], got [5, 4]");
    refuses(
        () -> fused.backward(input, output, gradients.toDHead(zeros(3, 4))),
        "outDHead: expected shape [5, 4], got [3, 4]");
  }

  @Test
  void targetsOutOfTheVocabulary() {
    Tensor high = scope.add(Tensor.of(new int[] {0, 5, 2}, 3));
    Tensor low = scope.add(Tensor.of(new long[] {0, 1, -100}, 3));
    refuses(() -> new HeadInput(hidden, head, high, 1), "targets[1]: expected 0 to 4, got 5");
    refuses(() -> new HeadInput(hidden, head, low, 1), "targets[2]: expected 0 to 4, got -100");
  }

  @Test
  void temperature() {
    refuses(
        () -> new HeadInput(hidden, head, targets, 0),
        "temperature: expected a finite number > 0, got 0.0");
    refuses(
        () -> new HeadInput(hidden, head, targets, Double.NaN),
        "temperature: expected a finite number > 0, got NaN");
  }

  @Test
  void overlaps() {
    Tensor memory = zeros(40);
    Tensor row = memory.narrow(0, 0, 3);
    refuses(
        () -> fused.forward(input, new HeadOutput(row, sums(3), memory.narrow(0, 2, 3))),
        "entropy: must not overlap logProb or logSumExp");
    refuses(
        () -> fused.forward(input, HeadOutput.of(hidden.reshape(12).narrow(0, 0, 3), sums(3))),
        "logProb: must not overlap the input");
    HeadGradients gradients = HeadGradients.of(zeros(3));
    refuses(
        () -> fused.backward(input, output, gradients.toDHidden(hidden)),
        "outDHidden: must not overlap hidden");
    Tensor dHidden = memory.narrow(0, 0, 12).reshape(3, 4);
    Tensor dHead = memory.narrow(0, 8, 20).reshape(5, 4);
    refuses(
        () -> fused.backward(input, output, gradients.toDHidden(dHidden).toDHead(dHead)),
        "outDHead: must not overlap outDHidden");
  }

  /** Gradients must not be written over what the pass still reads. */
  @Test
  void gradientsOverWhatIsRead() {
    Tensor memory = zeros(20);
    Tensor over = memory.narrow(0, 2, 3);
    Tensor out = memory.reshape(5, 4);
    HeadGradients none = HeadGradients.of(zeros(3));
    HeadOutput plain = new HeadOutput(zeros(3), sums(3), zeros(3));
    String start = "outDHead: must not overlap ";
    refuses(
        () -> fused.backward(input, plain, HeadGradients.of(over).toDHead(out)),
        start + "dLogProb");
    refuses(
        () -> fused.backward(input, plain, none.withDEntropy(over).toDHead(out)),
        start + "dEntropy");
    refuses(
        () -> fused.backward(input, HeadOutput.of(over, sums(3)), none.toDHead(out)),
        start + "logProb");
    refuses(
        () -> fused.backward(input, new HeadOutput(zeros(3), sums(3), over), none.toDHead(out)),
        start + "entropy");
    refuses(() -> fused.backward(input, plain, none.toDHead(head)), start + "head");
  }

  @ParameterizedTest
  @EnumSource(names = {"REFERENCE", "CPU"})
  void targetsThatChangedSinceTheyWereChecked(Backend backend) {
    assumeTrue(backend == Backend.REFERENCE || FusedHead.availability().isAvailable());
    FusedHead of = FusedHead.of(backend);
    HeadOutput out = HeadOutput.of(zeros(3), sums(3));
    HeadGradients gradients = HeadGradients.of(zeros(3)).toDHidden(zeros(3, 4));
    of.forward(input, out);
    targets.accessor().setLong(1, 5);
    refuses(() -> of.forward(input, out), "targets[1]: expected 0 to 4, got 5");
    refuses(() -> of.backward(input, out, gradients), "targets[1]: expected 0 to 4, got 5");
    targets.accessor().setLong(1, 4);
    of.backward(input, out, gradients);
  }

  @Test
  void entropyGradientsWithoutEntropies() {
    HeadGradients gradients = HeadGradients.of(zeros(3)).withDEntropy(zeros(3));
    refuses(
        () -> fused.backward(input, output, gradients),
        "forward: expected entropies since dEntropy is given");
  }

  @Test
  void closedTensors() {
    Tensor closed = Tensor.allocate(DType.F32, 3, 4);
    closed.close();
    assertThatThrownBy(() -> new HeadInput(closed, head, targets, 1))
        .isInstanceOf(IllegalStateException.class)
        .hasMessageStartingWith("hidden: expected an open tensor");
  }
}
