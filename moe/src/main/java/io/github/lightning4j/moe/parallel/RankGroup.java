package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity;
import io.github.lightning4j.moe.comm.Communicator;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The ranks that a layer exchanges tokens with, and those that hold the same weights. Without a
 * global router each EDP repetition keeps to itself.
 */
final class RankGroup implements AutoCloseable {
  private final Communicator tokens;
  private final boolean ownsTokens;
  private final @Nullable Communicator replicas;
  private final @Nullable CapacityAgreement capacity;
  private final int repetition;

  RankGroup(Communicator world, ExpertParallelism sizes, int experts, ParallelOptions options) {
    int rank = world.rank();
    ownsTokens = sizes.edp() > 1 && !options.globalRouter();
    tokens = ownsTokens ? world.split(sizes.edpRank(rank), rank) : world;
    replicas = sizes.edp() > 1 ? world.split(rank % (sizes.ep() * sizes.etp()), rank) : null;
    repetition = ownsTokens ? 0 : sizes.edpRank(rank);
    Capacity limit = options.capacity();
    int repetitions = ownsTokens ? 1 : sizes.edp();
    capacity = limit == null ? null : new CapacityAgreement(tokens, limit, experts, repetitions);
  }

  /** All that tokens of this rank may go to, repetition after repetition. */
  Communicator tokens() {
    return tokens;
  }

  /** Those that hold the weights of this rank; null if there is no other. */
  @Nullable Communicator replicas() {
    return replicas;
  }

  /** For each pair of a batch the repetition that computes it, -1 if nobody does. */
  int[] repetitions(Tensor index, Tensor weight, Clock clock) {
    if (capacity == null) {
      int[] own = new int[Math.toIntExact(index.elements())];
      Arrays.fill(own, repetition);
      return own;
    }
    clock.beginWait();
    int[] agreed = capacity.decide(index, weight);
    clock.endWait();
    return agreed;
  }

  @Override
  public void close() {
    if (ownsTokens) {
      tokens.close();
    }
    if (replicas != null) {
      replicas.close();
    }
  }
}
