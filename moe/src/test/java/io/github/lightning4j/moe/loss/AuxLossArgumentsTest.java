package io.github.lightning4j.moe.loss;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** What the losses refuse. */
final class AuxLossArgumentsTest {
  @Test
  void refusesWhatDoesNotFit() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 2, 4);
      Tensor index = scope.allocate(DType.I32, 2, 1);
      RouterBatch good = RouterBatch.of(List.of(logits), List.of(index));
      AuxLoss loss = AuxLoss.of(BalanceLoss.of(1));
      refused("terms: expected at least one, got none", AuxLoss::of);
      refused("coefficient: expected a finite number of at least 0", () -> BalanceLoss.of(-1));
      refused("coefficient: expected a finite number", () -> new ZLoss(Double.NaN));
      refused(
          "scope: expected MICRO_BATCH or GLOBAL_BATCH, got SEQUENCE",
          () -> new ZLoss(1).withScope(Scope.SEQUENCE));
      refused(
          "routerLogits: expected at least one layer", () -> RouterBatch.of(List.of(), List.of()));
      refused(
          "index: expected 1 layers, got 2",
          () -> RouterBatch.of(List.of(logits), List.of(index, index)));
      refused(
          "index[0]: expected shape [2, 1], got [3, 1]",
          () -> RouterBatch.of(List.of(logits), List.of(scope.allocate(DType.I32, 3, 1))));
      Tensor dropped = scope.add(Tensor.of(new int[] {0, -1}, 2, 1));
      refused(
          "index[1, 0]: expected 0 <= expert < 4, got -1",
          () -> RouterBatch.of(List.of(logits), List.of(dropped)));
      refused(
          "mask: expected 2 elements, one a token",
          () -> good.withMask(scope.allocate(DType.I64, 3)));
      refused(
          "mask: expected at least one token that counts, got none",
          () -> loss.evaluate(good.withMask(scope.allocate(DType.I64, 2)), null));
      refused(
          "mask: expected at least one token that counts on some rank, got none",
          () ->
              AuxLoss.of(BalanceLoss.of(1).withScope(Scope.GLOBAL_BATCH))
                  .evaluate(good.withMask(scope.allocate(DType.I64, 2)), null));
      refusedOffsets("offsets: expected dtype in", good, Tensor.of(new float[] {0, 2}, 2));
      refusedOffsets("offsets: expected at least 2 entries, got 1", good, Tensor.of(new int[1], 1));
      refusedOffsets("offsets[0]: expected 0, got 1", good, Tensor.of(new int[] {1, 2}, 2));
      refusedOffsets("offsets[2]: expected at least 2", good, Tensor.of(new int[] {0, 2, 1, 2}, 4));
      refusedOffsets(
          "offsets: expected to end at the 2 tokens, got 3", good, Tensor.of(new int[] {0, 3}, 2));
      refused("outGradients: expected 1 layers, got 0", () -> loss.evaluate(good, List.of()));
      refused(
          "outGradients[0]: must not overlap routerLogits",
          () -> loss.evaluate(good, List.of(logits)));
      logits.accessor().set(5, Double.NaN);
      refused(
          "routerLogits[0], token 1: expected numbers below infinity",
          () -> loss.evaluate(good, null));
    }
  }

  private static void refusedOffsets(String message, RouterBatch batch, Tensor offsets) {
    try (offsets) {
      refused(message, () -> batch.withOffsets(offsets));
    }
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }
}
