package io.github.lightning4j.moe.balance;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkElementIndex;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Which replicas of which experts lie on which GPU, from measured load: the expert-parallel load
 * balancer (EPLB).
 *
 * <pre>
 *   replicate   as often as there are replicas to spare: one more for the expert of largest load / replicas
 *   pack        by falling load / replicas, each replica to the least loaded GPU with a free place
 * </pre>
 *
 * <p>A replica is a physical expert; GPU g holds the physical experts {@code [g n, (g + 1) n)}, n =
 * replicas / GPUs. {@link #flat} does this over all GPUs. {@link #hierarchical} first packs groups
 * of neighbouring experts onto nodes and then replicates and packs within each node, so that a
 * group's tokens need not leave its node.
 *
 * <p>The packing is greedy, and spare replicas can make it worse: loads 4, 3, 3, 2 fill two GPUs
 * with 6 and 6, but with two spare replicas with 6.5 and 5.5. So where the experts fill the GPUs
 * evenly without replicas and the busiest GPU would then have less to do, they are packed so, and
 * each GPU gets further copies of its own experts in its spare places. The busiest GPU is thus
 * never busier than without replicas.
 *
 * <p>Deterministic: of equal experts the one with fewest replicas, then the lowest is replicated;
 * equal items are packed lowest first into the lowest pack. Two replicas of an expert may lie on
 * one GPU. Loads are compared in double. Cost: (replicas - E) E + replicas GPUs steps. Immutable.
 * Source: the balancer published with DeepSeek-V3 (EPLB), which does not look back at the packing
 * without replicas, and falls back to flat placement where groups do not divide over nodes; here
 * that is an error.
 */
public final class ReplicaPlacement {
  private final double[] load;
  private final int gpus;
  private final int[] logical;
  private final int[] copies;

  private ReplicaPlacement(double[] load, int gpus, int[] logical) {
    this.load = load;
    this.gpus = gpus;
    this.logical = logical;
    copies = new int[load.length];
    for (int expert : logical) {
      copies[expert]++;
    }
  }

  /**
   * Places replicas over all GPUs alike.
   *
   * @param load of each of E experts, finite and {@code >= 0}; see {@link LoadStatistics#loads}
   * @param replicas physical experts in all, {@code >= E} and a multiple of {@code gpus}
   * @param gpus how many
   * @throws IllegalArgumentException if sizes do not divide, telling which would, or a load is not
   *     a number that can be
   */
  public static ReplicaPlacement flat(double[] load, int replicas, int gpus) {
    return hierarchical(load, replicas, 1, 1, gpus);
  }

  /**
   * Places the replicas of a group's experts on one node.
   *
   * @param load as above
   * @param replicas as above
   * @param groups of E / groups neighbouring experts; divides E, a multiple of {@code nodes}
   * @param nodes how many
   * @param gpus how many in all, a multiple of {@code nodes}
   * @throws IllegalArgumentException as above
   */
  public static ReplicaPlacement hierarchical(
      double[] load, int replicas, int groups, int nodes, int gpus) {
    check(load, replicas, groups, nodes, gpus);
    int groupSize = load.length / groups;
    double[] groupLoad = new double[groups];
    for (int e = 0; e < load.length; e++) {
      groupLoad[e / groupSize] += load[e];
    }
    int[] nodeOfGroup = BalancedPacking.of(groupLoad, nodes).pack();
    int perNode = replicas / nodes;
    int[] logical = new int[replicas];
    for (int node = 0; node < nodes; node++) {
      int here = node;
      int[] experts =
          IntStream.range(0, load.length).filter(e -> nodeOfGroup[e / groupSize] == here).toArray();
      int[] placed = new NodePlacement(load, experts, gpus / nodes).place(perNode);
      System.arraycopy(placed, 0, logical, node * perNode, perNode);
    }
    return new ReplicaPlacement(load.clone(), gpus, logical);
  }

  /** The number of experts E. */
  public int experts() {
    return load.length;
  }

  /** The number of GPUs. */
  public int gpus() {
    return gpus;
  }

  /** The expert of each physical expert, as a new array. */
  public int[] physicalToLogical() {
    return logical.clone();
  }

  /** The physical experts that hold an expert, ascending; at least one. A new array. */
  public int[] logicalToPhysical(int expert) {
    checkElementIndex(expert, load.length, "expert");
    return IntStream.range(0, logical.length)
        .filter(physical -> logical[physical] == expert)
        .toArray();
  }

  /** How many replicas an expert has. */
  public int replicas(int expert) {
    checkElementIndex(expert, load.length, "expert");
    return copies[expert];
  }

  /** The GPU of a physical expert. */
  public int gpu(int physical) {
    checkElementIndex(physical, logical.length, "physical");
    return physical / (logical.length / gpus);
  }

  /** The load a GPU gets if the replicas of each expert share its load evenly. */
  public double gpuLoad(int gpu) {
    checkElementIndex(gpu, gpus, "gpu");
    int each = logical.length / gpus;
    double sum = 0;
    for (int physical = gpu * each; physical < (gpu + 1) * each; physical++) {
      sum += load[logical[physical]] / copies[logical[physical]];
    }
    return sum;
  }

  /** The load of the busiest GPU over the mean of all; 1 if there is no load. */
  public double maxToMean() {
    double max = IntStream.range(0, gpus).mapToDouble(this::gpuLoad).max().orElseThrow();
    return max == 0 ? 1 : max * gpus / Arrays.stream(load).sum();
  }

  private static void check(double[] load, int replicas, int groups, int nodes, int gpus) {
    int experts = load.length;
    checkArgument(experts > 0, "load: expected at least one expert, got none");
    for (int e = 0; e < experts; e++) {
      if (!(load[e] >= 0 && load[e] < Double.POSITIVE_INFINITY)) {
        throw new IllegalArgumentException(
            "load[" + e + "]: expected a finite number >= 0, got " + load[e]);
      }
    }
    checkArgument(nodes >= 1, "nodes: expected >= 1, got %s", nodes);
    if (groups < 1 || experts % groups != 0 || groups % nodes != 0) {
      int[] fit =
          IntStream.rangeClosed(1, experts)
              .filter(g -> experts % g == 0 && g % nodes == 0)
              .toArray();
      throw new IllegalArgumentException(
          String.format(
              "groups: expected a divisor of %d experts and a multiple of %d nodes, got %d; %s",
              experts,
              nodes,
              groups,
              fit.length == 0
                  ? "none fits, so use flat placement"
                  : "these fit: " + Arrays.toString(fit)));
    }
    checkMultiple("gpus", gpus, nodes, "nodes", nodes);
    checkMultiple("replicas", replicas, gpus, "GPUs", experts);
  }

  private static void checkMultiple(String name, int size, int of, String what, int least) {
    if (size < least || size % of != 0) {
      long above = Math.max(1, (Math.max(size, least) + of - 1L) / of) * of;
      long below = above - of;
      throw new IllegalArgumentException(
          String.format(
              "%s: expected a multiple of %d %s, at least %d, got %d; %s",
              name,
              of,
              what,
              least,
              size,
              below >= least ? below + " and " + above + " fit" : above + " fits"));
    }
  }
}
