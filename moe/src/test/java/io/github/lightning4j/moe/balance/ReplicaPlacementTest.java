package io.github.lightning4j.moe.balance;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

final class ReplicaPlacementTest {
  @Test
  void agreesWithPencilAndPaper() {
    // Expert 0 gets the first spare replica (8 -> 4, 4), expert 1 the second (of 4 and 4 the one
    // with fewer replicas). Then 4, 4, 2, 2, 2, 2 go to the two GPUs in turn.
    ReplicaPlacement placement = ReplicaPlacement.flat(new double[] {8, 4, 2, 2}, 6, 2);
    assertThat(placement.physicalToLogical()).containsExactly(0, 1, 3, 0, 2, 1);
    assertThat(placement.logicalToPhysical(0)).containsExactly(0, 3);
    assertThat(placement.logicalToPhysical(1)).containsExactly(1, 5);
    assertThat(placement.logicalToPhysical(2)).containsExactly(4);
    assertThat(placement.replicas(1)).isEqualTo(2);
    assertThat(placement.gpu(2)).isZero();
    assertThat(placement.gpu(3)).isEqualTo(1);
    assertThat(placement.gpuLoad(0)).isEqualTo(8);
    assertThat(placement.gpuLoad(1)).isEqualTo(8);
    assertThat(placement.maxToMean()).isEqualTo(1);
  }

  @Test
  void placesGroupsWithPencilAndPaper() {
    // Groups of two: loads 9, 3, 10, 4. Falling: 10 to node 0, 9 to node 1, 4 to node 1, 3 to 0.
    // Node 0 holds experts 2, 3, 4, 5 and replicates 4; node 1 holds 0, 1, 6, 7 and replicates 0.
    double[] load = {8, 1, 2, 1, 9, 1, 3, 1};
    ReplicaPlacement placement = ReplicaPlacement.hierarchical(load, 12, 4, 2, 4);
    // Node 0, 6 places: 4 three times 3 after two spares (9 -> 4.5 -> 3), then 2, 1, 1.
    // Falling 3, 3, 3, 2, 1, 1: 3 | 3, then 3 | 2, then 1 to the second, 1 to the first.
    assertThat(Arrays.copyOf(placement.physicalToLogical(), 6)).containsExactly(4, 4, 5, 4, 2, 3);
    // Node 1: 0 twice 4, then again (4 against 3): 8 / 3 three times; 6 once 3; 1; 7.
    // Falling 3, 8/3, 8/3, 8/3, 1, 1: 3 | 8/3, the next 8/3 to the second, then to the first,
    // 1 to the second (16/3 against 17/3), 1 to the first.
    assertThat(Arrays.copyOfRange(placement.physicalToLogical(), 6, 12))
        .containsExactly(6, 0, 7, 0, 0, 1);
  }

  @Test
  void agreesWithThePublishedExample() {
    double[][] load = {
      {90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86},
      {20, 107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27}
    };
    assertThat(ReplicaPlacement.hierarchical(load[0], 16, 4, 2, 8).physicalToLogical())
        .containsExactly(5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1);
    assertThat(ReplicaPlacement.hierarchical(load[1], 16, 4, 2, 8).physicalToLogical())
        .containsExactly(7, 10, 6, 8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1);
  }

  @Test
  void placesEveryExpertAndKeepsGroupsTogether() {
    Random random = new Random(5);
    for (int round = 0; round < 500; round++) {
      int nodes = 1 + random.nextInt(3);
      int groups = nodes * (1 + random.nextInt(3));
      int experts = groups * (1 + random.nextInt(4));
      int gpus = nodes * (1 + random.nextInt(4));
      int replicas = ((experts + gpus - 1) / gpus + random.nextInt(4)) * gpus;
      double[] load = load(random, experts);
      ReplicaPlacement placement =
          ReplicaPlacement.hierarchical(load, replicas, groups, nodes, gpus);
      assertMaps(placement, replicas);
      double total = IntStream.range(0, gpus).mapToDouble(placement::gpuLoad).sum();
      assertThat(total).isEqualTo(Arrays.stream(load).sum(), within(1e-9 * (1 + total)));
      for (int e = 0; e < experts; e++) {
        int first = e - e % (experts / groups);
        int home = node(placement, placement.logicalToPhysical(first)[0], nodes);
        for (int physical : placement.logicalToPhysical(e)) {
          assertThat(node(placement, physical, nodes)).isEqualTo(home);
        }
      }
      assertThat(ReplicaPlacement.hierarchical(load, replicas, groups, nodes, gpus))
          .extracting(ReplicaPlacement::physicalToLogical)
          .isEqualTo(placement.physicalToLogical());
    }
  }

  private static int node(ReplicaPlacement placement, int physical, int nodes) {
    return placement.gpu(physical) / (placement.gpus() / nodes);
  }

  private static void assertMaps(ReplicaPlacement placement, int replicas) {
    int[] logical = placement.physicalToLogical();
    assertThat(logical).hasSize(replicas);
    int seen = 0;
    for (int e = 0; e < placement.experts(); e++) {
      int[] physical = placement.logicalToPhysical(e);
      assertThat(physical).isNotEmpty().hasSize(placement.replicas(e)).isSorted();
      for (int p : physical) {
        assertThat(logical[p]).isEqualTo(e);
      }
      seen += physical.length;
    }
    assertThat(seen).isEqualTo(replicas);
    int[] held = new int[placement.gpus()];
    for (int p = 0; p < replicas; p++) {
      held[placement.gpu(p)]++;
    }
    assertThat(held).containsOnly(replicas / placement.gpus());
  }

  @Test
  void replicasNeverMakeTheBalanceWorse() {
    Random random = new Random(9);
    for (int round = 0; round < 3000; round++) {
      int gpus = 1 + random.nextInt(8);
      int experts = gpus * (1 + random.nextInt(5));
      double[] load = load(random, experts);
      double plain = ReplicaPlacement.flat(load, experts, gpus).maxToMean();
      for (int more = 1; more <= 3; more++) {
        ReplicaPlacement placement = ReplicaPlacement.flat(load, experts + more * gpus, gpus);
        assertThat(placement.maxToMean()).isLessThanOrEqualTo(plain * (1 + 1e-12));
      }
    }
  }

  @Test
  void looksBackAtThePackingWithoutReplicas() {
    // Greedily 0, 0, 1, 1, 2, 3 would weigh 2, 2, 1.5, 1.5, 3, 2 and be packed to 6.5 and 5.5.
    ReplicaPlacement placement = ReplicaPlacement.flat(new double[] {4, 3, 3, 2}, 6, 2);
    assertThat(placement.physicalToLogical()).containsExactly(0, 3, 0, 1, 2, 1);
    assertThat(placement.maxToMean()).isEqualTo(1);
  }

  @Test
  void spreadsReplicasWhereThereIsNoLoad() {
    ReplicaPlacement placement = ReplicaPlacement.flat(new double[4], 8, 2);
    for (int e = 0; e < 4; e++) {
      assertThat(placement.replicas(e)).isEqualTo(2);
    }
    assertThat(placement.maxToMean()).isEqualTo(1);
  }

  @Test
  void saysWhichSizesFit() {
    double[] load = new double[12];
    refused(
        "replicas: expected a multiple of 8 GPUs, at least 12, got 17; 16 and 24 fit",
        () -> ReplicaPlacement.flat(load, 17, 8));
    refused(
        "replicas: expected a multiple of 8 GPUs, at least 12, got 8; 16 fits",
        () -> ReplicaPlacement.flat(load, 8, 8));
    refused(
        "gpus: expected a multiple of 2 nodes, at least 2, got 7; 6 and 8 fit",
        () -> ReplicaPlacement.hierarchical(load, 14, 4, 2, 7));
    refused(
        "gpus: expected a multiple of 1 nodes, at least 1, got 0; 1 fits",
        () -> ReplicaPlacement.flat(load, 12, 0));
    refused(
        "groups: expected a divisor of 12 experts and a multiple of 2 nodes, got 3;"
            + " these fit: [2, 4, 6, 12]",
        () -> ReplicaPlacement.hierarchical(load, 16, 3, 2, 8));
    refused(
        "groups: expected a divisor of 12 experts and a multiple of 5 nodes, got 5;"
            + " none fits, so use flat placement",
        () -> ReplicaPlacement.hierarchical(load, 20, 5, 5, 5));
    refused("nodes: expected >= 1, got 0", () -> ReplicaPlacement.hierarchical(load, 16, 4, 0, 8));
    refused("load: expected at least one expert", () -> ReplicaPlacement.flat(new double[0], 1, 1));
    for (double bad : new double[] {-1, Double.NaN, Double.POSITIVE_INFINITY}) {
      load[3] = bad;
      refused(
          "load[3]: expected a finite number >= 0, got " + bad,
          () -> ReplicaPlacement.flat(load, 16, 8));
    }
  }

  /** Loads as experts have them: some very busy, some idle. */
  private static double[] load(Random random, int experts) {
    double skew = 2 * random.nextDouble();
    double[] load = new double[experts];
    for (int e = 0; e < experts; e++) {
      load[e] = Math.rint(1000 / Math.pow(1 + random.nextInt(experts), skew));
    }
    return load;
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }
}
