package io.github.lightning4j.core.nn;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.Test;

/** What {@link RowOperators} refuses before any implementation sees it. */
final class RowOperatorsArgumentsTest {
  private static RowOperators rows() {
    return RowOperators.best();
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor x = scope.allocate(DType.F32, 4, 8);
      Tensor out = scope.allocate(DType.F32, 4, 8);
      Tensor weight = scope.allocate(DType.F32, 8);
      Tensor ids = scope.add(Tensor.of(new int[] {0, 1, 4, 0}, 4));
      refuses(
          () -> rows().rmsNorm(x, weight.narrow(0, 0, 7), 0, out),
          "weight: expected shape [8], got [7]");
      refuses(() -> rows().rmsNorm(x, weight, -1, out), "eps: expected >= 0, got -1.0");
      refuses(() -> rows().rmsNorm(x, weight, Float.NaN, out), "eps: expected >= 0, got NaN");
      refuses(
          () -> rows().rmsNorm(x, weight, 0, out.narrow(0, 0, 3)),
          "out: expected shape [4, 8], got [3, 8]");
      refuses(
          () -> rows().scaledSum(x, 1, scope.allocate(DType.F64, 4, 8), 1, out),
          "y: expected dtype F32, got F64");
      refuses(
          () -> rows().scaledSum(x, 1, x, 1, scope.allocate(DType.F32, 4, 9).narrow(1, 0, 8)),
          "out: expected a contiguous tensor, got F32[4, 8]@cpu");
      refuses(
          () -> rows().rope(x.reshape(4, 1, 8), scope.allocate(DType.F32, 5), 0),
          "invFreq: expected at most 4 frequencies for heads of 8, got 5");
      refuses(
          () -> rows().rope(x.reshape(4, 1, 8), weight.narrow(0, 0, 4), -1),
          "firstPosition: expected >= 0, got -1");
      refuses(
          () -> rows().gatherRows(scope.allocate(DType.BF16, 4, 8), ids, out),
          "ids[2]: expected 0 <= id < 4, got 4");
      ids.accessor().setLong(2, -1);
      refuses(() -> rows().gatherRows(x, ids, out), "ids[2]: expected 0 <= id < 4, got -1");
      Tensor closed = Tensor.allocate(DType.F32, 4, 8);
      closed.close();
      assertThatThrownBy(() -> rows().rmsNorm(closed, weight, 0, out))
          .isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void refusesAnOutputThatOverlapsAnInput() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor memory = scope.allocate(DType.F32, 6, 8);
      Tensor x = memory.narrow(0, 0, 4);
      Tensor shifted = memory.narrow(0, 1, 4);
      Tensor weight = scope.allocate(DType.F32, 8);
      String overlap = ": expected %s itself or memory apart from it, got an overlap";
      refuses(() -> rows().rmsNorm(x, weight, 0, shifted), "out" + overlap.formatted("x"));
      refuses(
          () -> rows().scaledSum(weight.reshape(1, 8), 1, row(memory, 0), 1, row(memory, 3)),
          "out" + overlap.formatted("y"));
      Tensor wide = memory.reshape(4, 12);
      refuses(
          () -> rows().rmsNorm(wide.narrow(1, 0, 8), weight, 0, wide.narrow(1, 4, 8)),
          "out" + overlap.formatted("x"));
      refuses(
          () -> rows().gatherRows(memory, scope.allocate(DType.I32, 4), x),
          "out: must not overlap table or ids");
      refuses(
          () -> rows().rmsNorm(scope.allocate(DType.F32, 4, 8), memory.select(0, 0), 0, x),
          "out: must not overlap weight");
      refuses(
          () -> rows().rope(x.reshape(4, 1, 8), memory.select(0, 2).narrow(0, 0, 4), 0),
          "x: must not overlap invFreq");
    }
  }

  private static Tensor row(Tensor memory, long offset) {
    return memory.strided(offset, new long[] {1, 8}, new long[] {8, 1});
  }

  private static void refuses(Runnable call, String message) {
    assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }
}
