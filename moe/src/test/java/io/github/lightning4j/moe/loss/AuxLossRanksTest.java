package io.github.lightning4j.moe.loss;

import static io.github.lightning4j.moe.loss.SmallBatch.EXPERTS;
import static io.github.lightning4j.moe.loss.SmallBatch.LAYERS;
import static io.github.lightning4j.moe.loss.SmallBatch.batch;
import static io.github.lightning4j.moe.loss.SmallBatch.gradients;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.SumOverRanks;
import io.github.lightning4j.moe.loss.BalanceLoss.Normalization;
import io.github.lightning4j.moe.loss.BalanceLoss.Scope;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The balance loss of a batch that several ranks share. */
final class AuxLossRanksTest {
  @Test
  void globalBatchOfRanksSumsToTheWhole() {
    for (Normalization normalization : Normalization.values()) {
      try (MemoryScope scope = new MemoryScope()) {
        RouterBatch whole = batch(scope).withOffsets(null);
        List<Tensor> expected = gradients(scope, whole);
        BalanceLoss local = new BalanceLoss(0.5, normalization, Scope.MICRO_BATCH);
        double total = AuxLoss.of(local).evaluate(whole, expected).total();
        int[] bounds = {0, 3, 6, 11}; // the second rank has masked tokens only
        long[] counts = new long[LAYERS * EXPERTS + 2];
        BalanceLoss global = local.withScope(Scope.GLOBAL_BATCH);
        for (int rank = 0; rank < 3; rank++) {
          // first pass: what each rank brings
          evaluate(part(whole, bounds, rank), global, mine -> add(counts, mine), null);
        }
        double sum = 0;
        for (int rank = 0; rank < 3; rank++) {
          List<Tensor> got = narrowed(gradients(scope, whole), bounds, rank);
          sum +=
              evaluate(
                  part(whole, bounds, rank),
                  global,
                  mine -> System.arraycopy(counts, 0, mine, 0, mine.length),
                  got);
          List<Tensor> want = narrowed(expected, bounds, rank);
          for (int layer = 0; layer < LAYERS; layer++) {
            assertThat(got.get(layer).toFloats()).isEqualTo(want.get(layer).toFloats());
          }
        }
        assertThat(sum).isCloseTo(total, within(1e-12));
      }
    }
  }

  private static void add(long[] counts, long[] mine) {
    for (int i = 0; i < counts.length; i++) {
      counts[i] += mine[i];
    }
    mine[mine.length - 1] += 1; // so that a rank of masked tokens is not refused in the first pass
  }

  private static double evaluate(
      RouterBatch batch, LossTerm term, SumOverRanks ranks, @Nullable List<Tensor> out) {
    return AuxLoss.of(term).withRanks(ranks).evaluate(batch, out).total();
  }

  private static RouterBatch part(RouterBatch whole, int[] bounds, int rank) {
    Tensor mask = narrowed(List.of(whole.mask()), bounds, rank).get(0);
    return RouterBatch.of(
            narrowed(whole.routerLogits(), bounds, rank), narrowed(whole.index(), bounds, rank))
        .withMask(mask);
  }

  private static List<Tensor> narrowed(List<Tensor> tensors, int[] bounds, int rank) {
    return tensors.stream()
        .map(tensor -> tensor.narrow(0, bounds[rank], bounds[rank + 1] - bounds[rank]))
        .toList();
  }

  @Test
  void sumsOverRanksOnceAndOnlyIfATermAsksForIt() {
    try (MemoryScope scope = new MemoryScope()) {
      RouterBatch batch = batch(scope);
      AtomicInteger calls = new AtomicInteger();
      SumOverRanks ranks = counts -> calls.incrementAndGet();
      BalanceLoss global = BalanceLoss.of(1).withScope(Scope.GLOBAL_BATCH);
      AuxLoss.of(BalanceLoss.of(1), new ZLoss(1)).withRanks(ranks).evaluate(batch, null);
      assertThat(calls).hasValue(0);
      AuxLoss.of(global, new ZLoss(1), global.withNormalization(Normalization.HF_POOLED))
          .withRanks(ranks)
          .evaluate(batch, null);
      assertThat(calls).hasValue(1);
    }
  }
}
