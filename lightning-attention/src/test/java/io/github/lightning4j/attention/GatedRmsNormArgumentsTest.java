package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What {@link GatedRmsNorm} refuses before any implementation sees it: one slip a case. */
final class GatedRmsNormArgumentsTest {
  private static final GatedRmsNorm NORM = GatedRmsNorm.of(Backend.REFERENCE);
  private static final NormTypes WIDE = NormTypes.of(DType.F32);
  private static final NormTypes HALF = NormTypes.of(DType.BF16);

  private static Arguments bad(NormTypes types, String message, Consumer<NormCall> change) {
    return arguments(message, types, change);
  }

  private static Tensor rows(NormCall c, DType type) {
    return c.scope.allocate(type, 4, 8);
  }

  /** Four rows of eight with these strides. */
  private static Tensor strided(NormCall c, long row, long column) {
    Tensor memory = c.scope.allocate(DType.F32, 100);
    return memory.strided(0, new long[] {4, 8}, new long[] {row, column});
  }

  private static Tensor readOnly(NormCall c, long... shape) {
    Tensor tensor = c.scope.allocate(DType.F32, shape);
    long bytes = 4 * tensor.elements();
    Memory memory = c.scope.add(Memory.wrapReadOnly(tensor.address(), bytes, () -> {}));
    return Tensor.view(memory, 0, DType.F32, shape);
  }

  /** The first four of five rows, whose last four are another argument. */
  private static Tensor beside(NormCall c, Consumer<Tensor> other) {
    Tensor five = c.scope.allocate(DType.F32, 5, 8);
    other.accept(five.narrow(0, 1, 4));
    return five.narrow(0, 0, 4);
  }

  static Stream<Arguments> inputs() {
    String types = "[F64, F32, F16, BF16]";
    return Stream.of(
        bad(WIDE, "x: expected dtype in " + types + ", got I32", c -> c.x = rows(c, DType.I32)),
        bad(WIDE, "x: expected 2 dimensions, got shape [8]", c -> c.x = c.x.select(0, 0)),
        bad(WIDE, "x: expected a last dimension of stride 1", c -> c.x = strided(c, 1, 3)),
        bad(WIDE, "gate: expected dtype in " + types + ", got U8", c -> c.gate = rows(c, DType.U8)),
        bad(
            HALF,
            "gate: expected dtype BF16 as x has, or F32, got F16",
            c -> c.gate = rows(c, DType.F16)),
        bad(
            WIDE,
            "gate: expected shape [4, 8], got [3, 8]",
            c -> c.gate = c.scope.allocate(DType.F32, 3, 8)),
        bad(WIDE, "gate: expected a last dimension of stride 1", c -> c.gate = strided(c, 1, 3)),
        bad(
            WIDE,
            "weight: expected dtype in " + types + ", got I8",
            c -> c.weight = c.scope.allocate(DType.I8, 8)),
        bad(
            WIDE,
            "weight: expected shape [8], got [7]",
            c -> c.weight = c.scope.allocate(DType.F32, 7)),
        bad(
            WIDE,
            "weight: expected a contiguous tensor",
            c -> c.weight = c.scope.allocate(DType.F32, 8, 2).select(1, 0)),
        bad(WIDE, "eps: expected >= 0 and finite, got -1.0", c -> c.eps = -1),
        bad(WIDE, "eps: expected >= 0 and finite, got NaN", c -> c.eps = Float.NaN),
        bad(
            WIDE,
            "eps: expected >= 0 and finite, got Infinity",
            c -> c.eps = Float.POSITIVE_INFINITY));
  }

  static Stream<Arguments> outputs() {
    return Stream.of(
        bad(
            HALF,
            "out: expected dtype BF16 as x has, or F32, got F16",
            c -> c.out = rows(c, DType.F16)),
        bad(WIDE, "out: expected dtype F32 as x has, got BF16", c -> c.out = rows(c, DType.BF16)),
        bad(
            WIDE,
            "out: expected shape [4, 8], got [4, 7]",
            c -> c.out = c.scope.allocate(DType.F32, 4, 7)),
        bad(WIDE, "out: expected a last dimension of stride 1", c -> c.out = strided(c, 1, 3)),
        bad(
            WIDE,
            "out: expected rows that share no element, got 8 columns and a row stride of 7",
            c -> c.out = strided(c, 7, 1)),
        bad(WIDE, "out: expected memory that can be written", c -> c.out = readOnly(c, 4, 8)),
        bad(WIDE, "out: must not overlap weight", c -> c.weight = c.out.select(0, 1)),
        bad(WIDE, "out: must be x itself", c -> c.x = beside(c, other -> c.out = other)),
        bad(WIDE, "out: must be gate itself", c -> c.gate = beside(c, other -> c.out = other)),
        bad(
            HALF,
            "out: must be x itself, of its type and strides, or not overlap it",
            c -> {
              c.out = rows(c, DType.F32);
              c.x = Tensor.wrap(c.out.pointer(), DType.BF16, 4, 8);
            }));
  }

  static Stream<Arguments> gradients() {
    return Stream.of(
        bad(
            HALF,
            "dOut: expected dtype BF16 as x has, or F32, got F16",
            c -> c.dOut = rows(c, DType.F16)),
        bad(
            WIDE,
            "dOut: expected shape [4, 8], got [4, 7]",
            c -> c.dOut = c.scope.allocate(DType.F32, 4, 7)),
        bad(WIDE, "dOut: expected a last dimension of stride 1", c -> c.dOut = strided(c, 1, 3)),
        bad(
            HALF,
            "outDx: expected dtype BF16 as x has, got F32",
            c -> c.outDx = rows(c, DType.F32)),
        bad(
            WIDE,
            "outDx: expected shape [4, 8], got [4, 7]",
            c -> c.outDx = c.scope.allocate(DType.F32, 4, 7)),
        bad(WIDE, "outDx: expected a last dimension of stride 1", c -> c.outDx = strided(c, 1, 3)),
        bad(WIDE, "outDx: expected rows that share no element", c -> c.outDx = strided(c, 0, 1)),
        bad(WIDE, "outDx: expected memory that can be written", c -> c.outDx = readOnly(c, 4, 8)),
        bad(WIDE, "outDx: must not overlap x", c -> c.outDx = c.x),
        bad(WIDE, "outDx: must not overlap gate", c -> c.outDx = c.gate),
        bad(WIDE, "outDx: must not overlap weight", c -> c.weight = c.outDx.select(0, 0)),
        bad(WIDE, "outDx: must be dOut itself", c -> c.dOut = beside(c, other -> c.outDx = other)),
        bad(WIDE, "outDGate: expected a tensor if there is a gate", c -> c.outDGate = null),
        bad(WIDE, "outDGate: expected a tensor if there is a gate", c -> c.gate = null),
        bad(
            HALF,
            "outDGate: expected dtype BF16 as gate has, got F32",
            c -> c.outDGate = rows(c, DType.F32)),
        bad(
            WIDE,
            "outDGate: expected shape [4, 8], got [3, 8]",
            c -> c.outDGate = c.scope.allocate(DType.F32, 3, 8)),
        bad(
            WIDE,
            "outDGate: expected a last dimension of stride 1",
            c -> c.outDGate = strided(c, 1, 3)),
        bad(
            WIDE,
            "outDGate: expected rows that share no element",
            c -> c.outDGate = strided(c, 3, 1)),
        bad(
            WIDE,
            "outDGate: expected memory that can be written",
            c -> c.outDGate = readOnly(c, 4, 8)),
        bad(WIDE, "outDGate: must not overlap dOut", c -> c.outDGate = c.dOut),
        bad(WIDE, "outDGate: must not overlap outDx", c -> c.outDGate = c.outDx),
        bad(WIDE, "outDGate: must not overlap x", c -> c.outDGate = c.x),
        bad(WIDE, "outDGate: must not overlap gate", c -> c.outDGate = c.gate),
        bad(WIDE, "outDGate: must not overlap weight", c -> c.weight = c.outDGate.select(0, 3)));
  }

  static Stream<Arguments> weightGradients() {
    return Stream.of(
        bad(
            HALF,
            "outDWeight: expected dtype F32, got BF16",
            c -> c.outDWeight = c.scope.allocate(DType.BF16, 8)),
        bad(
            WIDE,
            "outDWeight: expected shape [8], got [9]",
            c -> c.outDWeight = c.scope.allocate(DType.F32, 9)),
        bad(
            WIDE,
            "outDWeight: expected a contiguous tensor",
            c -> c.outDWeight = c.scope.allocate(DType.F32, 8, 2).select(1, 0)),
        bad(
            WIDE,
            "outDWeight: expected memory that can be written",
            c -> c.outDWeight = readOnly(c, 8)),
        bad(WIDE, "outDWeight: must not overlap dOut", c -> c.outDWeight = c.dOut.select(0, 0)),
        bad(WIDE, "outDWeight: must not overlap outDx", c -> c.outDWeight = c.outDx.select(0, 1)),
        bad(
            WIDE,
            "outDWeight: must not overlap outDGate",
            c -> c.outDWeight = c.outDGate.select(0, 2)),
        bad(WIDE, "outDWeight: must not overlap x", c -> c.outDWeight = c.x.select(0, 3)),
        bad(WIDE, "outDWeight: must not overlap gate", c -> c.outDWeight = c.gate.select(0, 3)),
        bad(WIDE, "outDWeight: must not overlap weight", c -> c.outDWeight = c.weight));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource({"inputs", "outputs"})
  void applyRefuses(String message, NormTypes types, Consumer<NormCall> change) {
    try (NormCall call = new NormCall(1, types, 4, 8)) {
      call.apply(NORM);
      change.accept(call);
      assertThatThrownBy(() -> call.apply(NORM))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith(message);
    }
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource({"inputs", "gradients", "weightGradients"})
  void backwardRefuses(String message, NormTypes types, Consumer<NormCall> change) {
    try (NormCall call = new NormCall(1, types, 4, 8)) {
      call.backward(NORM);
      change.accept(call);
      assertThatThrownBy(() -> call.backward(NORM))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith(message);
    }
  }

  @Test
  void refusesClosedTensors() {
    try (NormCall call = new NormCall(1, WIDE, 4, 8)) {
      Tensor closed = Tensor.allocate(DType.F32, 4, 8);
      closed.close();
      call.x = closed;
      assertThatThrownBy(() -> call.apply(NORM)).isInstanceOf(IllegalStateException.class);
      assertThatThrownBy(() -> call.backward(NORM)).isInstanceOf(IllegalStateException.class);
    }
  }
}
