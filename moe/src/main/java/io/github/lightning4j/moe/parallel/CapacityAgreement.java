package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.balance.GlobalRouter;
import io.github.lightning4j.moe.comm.Communicator;
import io.github.lightning4j.moe.comm.RankFailedException;
import java.util.Arrays;

/**
 * Decides which pairs of a batch that lies on several ranks are computed, and where, when experts
 * have a capacity. Choices and weights of all tokens are gathered on every rank ({@code 8 k} bytes
 * a token beside the {@code 8 k H} that travel), so all ranks derive what a single rank would: the
 * tokens of a repetition count in the order of its ranks.
 */
final class CapacityAgreement {
  private final Communicator ranks;
  private final Capacity capacity;
  private final int experts;
  private final int repetitions;

  /**
   * For the ranks of one EDP repetition, or of several with a global router between them.
   *
   * @param ranks all that exchange tokens, repetition after repetition
   */
  CapacityAgreement(Communicator ranks, Capacity capacity, int experts, int repetitions) {
    this.ranks = ranks;
    this.capacity = capacity;
    this.experts = experts;
    this.repetitions = repetitions;
  }

  /** For each pair the repetition that computes it, -1 if nobody does. */
  int[] decide(Tensor index, Tensor weight) {
    MemoryScope scope = new MemoryScope();
    try {
      int[] places = decide(scope, index, weight);
      scope.close();
      return places;
    } catch (RankFailedException e) {
      throw e; // the scope stays: the network card of that rank may still write here
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  private int[] decide(MemoryScope scope, Tensor index, Tensor weight) {
    long[] tokens = tokens(scope, index.size(0));
    int[] places = new int[Math.toIntExact(index.elements())];
    int longest = (int) Arrays.stream(tokens).max().orElseThrow();
    if (longest > 0) {
      Tensor allIndex = gather(scope, index, longest);
      Tensor allWeight = gather(scope, weight, longest);
      int each = ranks.size() / repetitions;
      Batch[] batches = new Batch[repetitions];
      for (int r = 0; r < repetitions; r++) {
        batches[r] =
            new Batch(
                join(scope, allIndex, tokens, r * each, each),
                join(scope, allWeight, tokens, r * each, each));
      }
      int own = ranks.rank() / each;
      long before = Arrays.stream(tokens, own * each, ranks.rank()).sum();
      decide(batches, own, Math.toIntExact(before * index.size(1)), places);
    }
    return places;
  }

  /** The tokens of one repetition. */
  private record Batch(Tensor index, Tensor weight) {}

  private void decide(Batch[] batches, int own, int firstPair, int[] places) {
    DispatchPlan plan = new DispatchPlan();
    Batch mine = batches[own];
    if (repetitions == 1) {
      plan.build(mine.index, experts, capacity, mine.weight);
      for (int pair = 0; pair < places.length; pair++) {
        places[pair] = plan.position(firstPair + pair) < 0 ? -1 : own;
      }
      return;
    }
    int[][] counts = new int[repetitions][];
    long tokens = 0;
    for (int r = 0; r < repetitions; r++) {
      plan.build(batches[r].index, experts);
      counts[r] = plan.counts();
      tokens += plan.tokens();
    }
    int mean = (int) ((tokens + repetitions - 1) / repetitions);
    int limit = capacity.limit(mean, (int) mine.index.size(1), experts);
    int[] destination =
        GlobalRouter.of(counts, limit)
            .dispatch(own, mine.index, mine.weight, capacity.priority(), plan);
    for (int pair = 0; pair < places.length; pair++) {
      int position = plan.position(firstPair + pair);
      places[pair] = position < 0 ? -1 : destination[position];
    }
  }

  private long[] tokens(MemoryScope scope, long mine) {
    Tensor all = scope.allocate(DType.I64, ranks.size(), 1);
    ranks.allGather(scope.add(Tensor.of(new long[] {mine}, 1)), all);
    return all.toLongs();
  }

  /** {@code [ranks, longest, k]}, what is behind a rank's tokens being zeros. */
  private Tensor gather(MemoryScope scope, Tensor mine, int longest) {
    Tensor padded = scope.allocate(mine.dtype(), longest, mine.size(1));
    padded.narrow(0, 0, mine.size(0)).copyFrom(mine);
    Tensor all = scope.allocate(mine.dtype(), ranks.size(), longest, mine.size(1));
    ranks.allGather(padded, all);
    return all;
  }

  /** The rows of some ranks, one after the other, without the padding. */
  private static Tensor join(MemoryScope scope, Tensor all, long[] tokens, int first, int count) {
    long sum = Arrays.stream(tokens, first, first + count).sum();
    Tensor joined = scope.allocate(all.dtype(), sum, all.size(2));
    long at = 0;
    for (int rank = first; rank < first + count; rank++) {
      joined.narrow(0, at, tokens[rank]).copyFrom(all.select(0, rank).narrow(0, 0, tokens[rank]));
      at += tokens[rank];
    }
    return joined;
  }
}
