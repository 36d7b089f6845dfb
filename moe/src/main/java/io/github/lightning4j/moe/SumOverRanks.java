package io.github.lightning4j.moe;

/**
 * Sums whole numbers over all ranks that train together: an all-reduce of any engine, such as
 * {@code counts -> communicator.allReduce(counts)}. To spread a batch over micro-batches, add what
 * came before in the same place.
 */
@FunctionalInterface
public interface SumOverRanks {
  /** Replaces every entry by its sum over the ranks. All ranks call it with as many entries. */
  void sum(long[] counts);

  /** For a single rank: every number is its own sum. */
  static SumOverRanks single() {
    return counts -> {};
  }
}
