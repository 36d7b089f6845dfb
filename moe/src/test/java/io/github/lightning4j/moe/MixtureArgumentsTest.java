package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What {@link MixtureOfExperts}, {@link ExpertWeights} and {@link MoeWorkspace} refuse. */
final class MixtureArgumentsTest {
  private final MixtureOfExperts experts = MixtureOfExperts.best();
  private final MemoryScope scope = new MemoryScope();
  private final Mixture good = scope.add(new Mixture(2, 6, 5, 3, 2, DType.F32));
  private final MoeWorkspace workspace = scope.add(new MoeWorkspace());

  @AfterEach
  void close() {
    scope.close();
  }

  @Test
  void forwardRefusesShapesThatDoNotFit() {
    refused(
        "x: expected shape [2, 6], got [2, 5]",
        () -> forward(good.x.narrow(1, 0, 5), good.index, good.weight, good.out));
    refused(
        "index: expected shape [2, 2], got [1, 2]",
        () -> forward(good.x, good.index.narrow(0, 0, 1), good.weight, good.out));
    refused(
        "weight: expected shape [2, 2], got [2, 1]",
        () -> forward(good.x, good.index, good.weight.narrow(1, 0, 1), good.out));
    refused(
        "out: expected shape [2, 6], got [1, 6]",
        () -> forward(good.x, good.index, good.weight, good.out.narrow(0, 0, 1)));
    Tensor many = scope.allocate(DType.I32, 2, 4);
    refused(
        "index: expected 1 <= k <= 3, got k = 4",
        () -> forward(good.x, many, scope.allocate(DType.F32, 2, 4), good.out));
  }

  @Test
  void forwardRefusesTypesThatDoNotFit() {
    Tensor half = scope.allocate(DType.F16, 2, 6);
    refused(
        "x: expected dtype F32, got F16", () -> forward(half, good.index, good.weight, good.out));
    refused(
        "out: expected dtype F32, got F16", () -> forward(good.x, good.index, good.weight, half));
    refused(
        "index: expected dtype I32, got F32",
        () -> forward(good.x, good.weight, good.weight, good.out));
    refused(
        "weight: expected dtype F32, got I32",
        () -> forward(good.x, good.index, good.index, good.out));
    Tensor sparse =
        scope.allocate(DType.F32, 2, 12).strided(0, new long[] {2, 6}, new long[] {12, 2});
    refused(
        "x: expected a last dimension of stride 1, got stride 2",
        () -> forward(sparse, good.index, good.weight, good.out));
  }

  @Test
  void forwardRefusesUnknownExperts() {
    good.index.accessor().setLong(3, 3);
    refused(
        "index[1, 1]: expected 0 <= expert < 3, got 3",
        () -> forward(good.x, good.index, good.weight, good.out));
    good.index.accessor().setLong(3, -1);
    refused(
        "index[1, 1]: expected 0 <= expert < 3, got -1",
        () -> forward(good.x, good.index, good.weight, good.out));
  }

  @Test
  void forwardRefusesToWriteOverItsInput() {
    refused("out: must not overlap x", () -> forward(good.x, good.index, good.weight, good.x));
    Tensor memory = scope.allocate(DType.F32, 2, 6);
    refused(
        "out: must not overlap weight",
        () -> forward(good.x, good.index, memory.narrow(1, 1, 2), memory));
    Tensor gate = scope.allocate(DType.F32, 5, 6);
    ExpertWeights own =
        new ExpertWeights(
            List.of(gate),
            List.of(scope.allocate(DType.F32, 5, 6)),
            List.of(scope.allocate(DType.F32, 6, 5)));
    Tensor index = scope.allocate(DType.I32, 2, 1);
    Tensor weight = scope.allocate(DType.F32, 2, 1);
    refused(
        "out: must not overlap gate",
        () -> experts.forward(good.x, own, index, weight, workspace, gate.narrow(0, 1, 2)));
  }

  @Test
  void forwardRefusesWhatIsClosed() {
    Tensor x = Tensor.allocate(DType.F32, 2, 6);
    x.close();
    assertThatThrownBy(() -> forward(x, good.index, good.weight, good.out))
        .isInstanceOf(IllegalStateException.class);
    MoeWorkspace closed = new MoeWorkspace();
    good.run(experts, closed);
    closed.close();
    assertThat(closed.bytes()).isZero();
    assertThatThrownBy(() -> good.run(experts, closed))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("workspace is closed");
    assertThatThrownBy(closed::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("workspace is closed already");
    assertThatThrownBy(closed::plan).isInstanceOf(IllegalStateException.class);
  }

  @Test
  void backwardRefusesGradientsThatDoNotFit() {
    MixtureGradients g = new MixtureGradients(good);
    refused(
        "dOut: expected shape [2, 6], got [2, 5]",
        () -> backward(g.dOut.narrow(1, 0, 5), g.dx, g.dWeight, g.dGate, g.dUp, g.dDown));
    refused(
        "outDx: expected shape [2, 6], got [1, 6]",
        () -> backward(g.dOut, g.dx.narrow(0, 0, 1), g.dWeight, g.dGate, g.dUp, g.dDown));
    refused(
        "outDWeight: expected shape [2, 2], got [2, 6]",
        () -> backward(g.dOut, g.dx, g.dx, g.dGate, g.dUp, g.dDown));
    refused(
        "outDGate: expected 3 experts, got 2",
        () -> backward(g.dOut, g.dx, g.dWeight, g.dGate.subList(0, 2), g.dUp, g.dDown));
    refused(
        "outDUp[0]: expected shape [5, 6], got [6, 5]",
        () -> backward(g.dOut, g.dx, g.dWeight, g.dGate, g.dDown, g.dDown));
    refused(
        "outDx: must not overlap dOut",
        () -> backward(g.dOut, g.dOut, g.dWeight, g.dGate, g.dUp, g.dDown));
    refused(
        "outDDown[0]: must not overlap down[0]",
        () -> backward(g.dOut, g.dx, g.dWeight, g.dGate, g.dUp, good.weights.down()));
  }

  @Test
  void backwardRefusesOutputsThatOverlap() {
    MixtureGradients g = new MixtureGradients(good);
    Tensor memory = scope.allocate(DType.F32, 8, 6);
    Tensor dWeight = memory.narrow(0, 0, 2).narrow(1, 0, 2);
    refused(
        "outDWeight: must not overlap outDx",
        () -> backward(g.dOut, memory.narrow(0, 0, 2), dWeight, g.dGate, g.dUp, g.dDown));
    Tensor row = memory.narrow(0, 2, 5);
    Tensor shifted = memory.narrow(0, 3, 5);
    refused(
        "outDGate[1]: must not overlap outDx",
        () ->
            backward(
                g.dOut, memory.narrow(0, 1, 2), g.dWeight, with(g.dGate, 1, row), g.dUp, g.dDown));
    refused(
        "outDGate[2]: must not overlap outDGate[0]",
        () ->
            backward(
                g.dOut, g.dx, g.dWeight, with(with(g.dGate, 0, row), 2, shifted), g.dUp, g.dDown));
    refused(
        "outDUp[2]: must not overlap outDGate[0]",
        () -> backward(g.dOut, g.dx, g.dWeight, g.dGate, with(g.dUp, 2, g.dGate.get(0)), g.dDown));
    Tensor transposed = g.dUp.get(1).reshape(6, 5);
    refused(
        "outDDown[0]: must not overlap outDUp[1]",
        () -> backward(g.dOut, g.dx, g.dWeight, g.dGate, g.dUp, with(g.dDown, 0, transposed)));
  }

  @Test
  void backwardRefusesToWriteOverItsInput() {
    MixtureGradients g = new MixtureGradients(good);
    List<Tensor> up = good.weights.up();
    refused(
        "outDWeight: must not overlap weight",
        () -> backward(g.dOut, g.dx, good.weight, g.dGate, g.dUp, g.dDown));
    refused(
        "outDx: must not overlap x",
        () -> backward(g.dOut, good.x, g.dWeight, g.dGate, g.dUp, g.dDown));
    refused(
        "outDGate[0]: must not overlap up[2]", // of another expert, in another place
        () -> backward(g.dOut, g.dx, g.dWeight, with(g.dGate, 0, up.get(2)), g.dUp, g.dDown));
    Tensor index = scope.allocate(DType.I32, 2, 2);
    Tensor same = Tensor.wrap(index.pointer(), DType.F32, 2, 2);
    refused(
        "outDWeight: must not overlap index",
        () ->
            experts.backward(
                good.x,
                good.weights,
                index,
                good.weight,
                g.dOut,
                g.dx,
                same,
                g.dGate,
                g.dUp,
                g.dDown));
  }

  private static List<Tensor> with(List<Tensor> tensors, int at, Tensor other) {
    List<Tensor> changed = new ArrayList<>(tensors);
    changed.set(at, other);
    return changed;
  }

  @Test
  void weightsRefuseWhatDoesNotFit() {
    List<Tensor> gate = good.weights.gate();
    List<Tensor> up = good.weights.up();
    List<Tensor> down = good.weights.down();
    refused(
        "gate: expected at least one expert",
        () -> new ExpertWeights(List.of(), List.of(), List.of()));
    refused("up: expected 3 experts, got 2", () -> new ExpertWeights(gate, up.subList(0, 2), down));
    refused(
        "down: expected 3 experts, got 1", () -> new ExpertWeights(gate, up, down.subList(0, 1)));
    refused("up[0]: expected shape [5, 6], got [6, 5]", () -> new ExpertWeights(gate, down, down));
    refused("down[0]: expected shape [6, 5], got [5, 6]", () -> new ExpertWeights(gate, up, up));
    Tensor half = scope.allocate(DType.F16, 5, 6);
    refused(
        "up[1]: expected dtype F32, got F16",
        () -> new ExpertWeights(gate, List.of(up.get(0), half, up.get(2)), down));
    Tensor ints = scope.allocate(DType.I8, 5, 6);
    refused(
        "gate[0]: expected dtype in",
        () -> new ExpertWeights(List.of(ints), List.of(ints), List.of(ints)));
    Tensor none = scope.allocate(DType.F32, 0, 6);
    refused(
        "gate[0]: expected a matrix with elements",
        () -> new ExpertWeights(List.of(none), List.of(none), List.of(none)));
  }

  @Test
  void fusedWeightsRefuseWhatDoesNotFit() {
    Tensor down = scope.allocate(DType.F32, 2, 6, 4);
    refused(
        "gateUp: expected an even number of rows",
        () -> ExpertWeights.ofFused(scope.allocate(DType.F32, 2, 7, 6), down));
    refused(
        "gateUp: expected 3 dimensions",
        () -> ExpertWeights.ofFused(scope.allocate(DType.F32, 8, 6), down));
    refused(
        "down: expected shape [2, 6, 5], got [2, 6, 4]",
        () -> ExpertWeights.ofFused(scope.allocate(DType.F32, 2, 10, 6), down));
    refused(
        "down: expected dtype BF16, got F32",
        () -> ExpertWeights.ofFused(scope.allocate(DType.BF16, 2, 8, 6), down));
  }

  private void forward(Tensor x, Tensor index, Tensor weight, Tensor out) {
    experts.forward(x, good.weights, index, weight, workspace, out);
  }

  private void backward(
      Tensor dOut,
      Tensor dx,
      Tensor dWeight,
      List<Tensor> dGate,
      List<Tensor> dUp,
      List<Tensor> dDown) {
    experts.backward(
        good.x, good.weights, good.index, good.weight, dOut, dx, dWeight, dGate, dUp, dDown);
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }
}
