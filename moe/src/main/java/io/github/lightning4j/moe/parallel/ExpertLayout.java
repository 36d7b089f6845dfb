package io.github.lightning4j.moe.parallel;

import io.github.lightning4j.moe.balance.ReplicaPlacement;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Where experts lie among the ranks that exchange tokens: one EDP repetition, or all of them if a
 * global router sends tokens from one to another.
 */
final class ExpertLayout {
  private final ExpertParallelism sizes;
  private final int perRank;
  private final int[][] physical;

  ExpertLayout(ExpertParallelism sizes, int experts, @Nullable ReplicaPlacement placement) {
    this.sizes = sizes;
    physical = new int[experts][];
    if (placement == null) {
      perRank = experts / sizes.ep();
      for (int e = 0; e < experts; e++) {
        physical[e] = new int[] {e};
      }
    } else {
      perRank = placement.physicalToLogical().length / sizes.ep();
      for (int e = 0; e < experts; e++) {
        physical[e] = placement.logicalToPhysical(e);
      }
    }
  }

  int experts() {
    return physical.length;
  }

  /** The experts that a rank holds. */
  int perRank() {
    return perRank;
  }

  int etp() {
    return sizes.etp();
  }

  /** Whether an expert lies in more than one place of a repetition. */
  boolean hasReplicas() {
    return IntStream.range(0, experts()).anyMatch(e -> physical[e].length > 1);
  }

  /** The physical expert that serves the n-th pair of an expert: its replicas take turns. */
  int physical(int expert, int n) {
    int[] replicas = physical[expert];
    return replicas[n % replicas.length];
  }

  /** The first of the ETP neighbouring ranks that hold a physical expert of a repetition. */
  int rank(int repetition, int physicalExpert) {
    return (repetition * sizes.ep() + physicalExpert / perRank) * sizes.etp();
  }

  /** The number of a physical expert on its ranks. */
  int slot(int physicalExpert) {
    return physicalExpert % perRank;
  }
}
