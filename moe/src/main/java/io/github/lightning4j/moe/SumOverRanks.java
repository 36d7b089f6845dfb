package io.github.lightning4j.moe;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.comm.Communicator;

/**
 * Sums whole numbers over all ranks that train together: an all-reduce of any engine, such as that
 * of a {@link Communicator}, see {@link #over}. To spread a batch over micro-batches, add what came
 * before in the same place.
 */
@FunctionalInterface
public interface SumOverRanks {
  /** Replaces every entry by its sum over the ranks. All ranks call it with as many entries. */
  void sum(long[] counts);

  /** For a single rank: every number is its own sum. */
  static SumOverRanks single() {
    return counts -> {};
  }

  /** Over all ranks of a communicator. */
  static SumOverRanks over(Communicator ranks) {
    return counts -> {
      Tensor sums = Tensor.of(counts, counts.length);
      ranks.allReduceSum(sums); // if a rank has failed, its network card may still write them
      System.arraycopy(sums.toLongs(), 0, counts, 0, counts.length);
      sums.close();
    };
  }
}
