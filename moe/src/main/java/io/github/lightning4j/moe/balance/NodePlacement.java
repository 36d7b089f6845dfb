package io.github.lightning4j.moe.balance;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Replicates the experts of one node and packs them to its GPUs. The answers are physical experts
 * in order, each told as its expert, the same number for each GPU.
 *
 * @param load of all experts
 * @param experts those of this node
 * @param gpus of this node
 */
record NodePlacement(double[] load, int[] experts, int gpus) {
  /** The better of greedy replication and no replication; the former if they are equal. */
  int[] place(int places) {
    int[] greedy = packed(replicated(places));
    if (experts.length % gpus != 0) {
      return greedy;
    }
    int[] plain = packed(experts);
    return busiest(plain) < busiest(greedy) ? padded(plain, places) : greedy;
  }

  /** Each expert once, then one more of the largest load a replica until the places are filled. */
  private int[] replicated(int places) {
    int[] replicas = Arrays.copyOf(experts, places);
    int[] copies = copies(experts);
    for (int r = experts.length; r < places; r++) {
      int most = experts[0];
      for (int e : experts) {
        int order = Double.compare(load[e] / copies[e], load[most] / copies[most]);
        if (order > 0 || order == 0 && copies[e] < copies[most]) {
          most = e;
        }
      }
      replicas[r] = most;
      copies[most]++;
    }
    return replicas;
  }

  private int[] packed(int[] replicas) {
    int[] copies = copies(replicas);
    double[] share = Arrays.stream(replicas).mapToDouble(e -> load[e] / copies[e]).toArray();
    BalancedPacking packing = BalancedPacking.of(share, gpus);
    int[] packed = new int[replicas.length];
    for (int r = 0; r < replicas.length; r++) {
      packed[packing.pack()[r] * (replicas.length / gpus) + packing.place()[r]] = replicas[r];
    }
    return packed;
  }

  /** Fills up each GPU with further copies of its own experts, which changes no GPU's load. */
  private int[] padded(int[] plain, int places) {
    int held = plain.length / gpus;
    int each = places / gpus;
    return IntStream.range(0, places)
        .map(place -> plain[place / each * held + place % each % held])
        .toArray();
  }

  private double busiest(int[] packed) {
    int[] copies = copies(packed);
    double[] sum = new double[gpus];
    for (int p = 0; p < packed.length; p++) {
      sum[p / (packed.length / gpus)] += load[packed[p]] / copies[packed[p]];
    }
    return Arrays.stream(sum).max().orElseThrow();
  }

  private int[] copies(int[] replicas) {
    int[] copies = new int[load.length];
    for (int e : replicas) {
      copies[e]++;
    }
    return copies;
  }
}
