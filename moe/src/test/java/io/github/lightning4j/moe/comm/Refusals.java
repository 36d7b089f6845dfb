package io.github.lightning4j.moe.comm;

import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** Arguments that are wrong on every rank alike, each with the message it gets. */
final class Refusals {
  private Refusals() {}

  static void check(Communicator world) {
    int size = world.size();
    int rows = 2 * size;
    try (MemoryScope scope = new MemoryScope()) {
      Tensor in = scope.allocate(DType.F32, rows, 3);
      Tensor out = scope.allocate(DType.F32, rows, 3);
      long[] twos = new long[size];
      Arrays.fill(twos, 2);
      long[] tooMany = twos.clone();
      tooMany[0]++;
      long[] negative = twos.clone();
      negative[0] = -1;
      refused(
          "out: must not overlap send",
          () -> world.allToAll(in, twos, in.narrow(0, 0, rows), twos));
      refused("rowsTo: expected a sum of " + rows, () -> world.allToAll(in, tooMany, out, twos));
      refused("rowsFrom: expected a sum of", () -> world.allToAll(in, twos, out, tooMany));
      refused("rowsTo: expected counts >= 0", () -> world.allToAllCounts(negative));
      refused(
          "rowsTo: expected one count for each", () -> world.allToAllCounts(new long[size + 1]));
      Tensor wide = scope.allocate(DType.F32, rows, 6);
      refused(
          "send: expected a contiguous tensor",
          () -> world.allToAll(wide.narrow(1, 0, 3), twos, out, twos));
      refused("out: expected rows of shape [3]", () -> world.allToAll(in, twos, wide, twos));
      Tensor half = scope.allocate(DType.BF16, rows, 3);
      refused("out: expected dtype F32, got BF16", () -> world.allToAll(in, twos, half, twos));
      refused("inOut: expected a contiguous", () -> world.allReduceSum(half.narrow(1, 0, 2)));
      world.allToAll(in, twos, out, twos);
    }
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatIllegalArgumentException().isThrownBy(call).withMessageContaining(message);
  }
}
