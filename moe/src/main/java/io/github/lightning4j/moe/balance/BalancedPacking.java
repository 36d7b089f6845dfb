package io.github.lightning4j.moe.balance;

import java.util.Arrays;
import java.util.Comparator;

/**
 * Items in packs of equal size: by falling load, each goes to the least loaded pack with a free
 * place. Of equal loads the lowest item first, of equal packs the lowest.
 *
 * @param pack for each item its pack
 * @param place for each item its place in the pack
 */
record BalancedPacking(int[] pack, int[] place) {
  /** Packs {@code load.length} items, a multiple of {@code packs}. */
  static BalancedPacking of(double[] load, int packs) {
    Integer[] order = new Integer[load.length];
    Arrays.setAll(order, i -> i);
    Arrays.sort(order, Comparator.comparingDouble((Integer i) -> load[i]).reversed());
    int[] pack = new int[load.length];
    int[] place = new int[load.length];
    double[] sum = new double[packs];
    int[] filled = new int[packs];
    for (int item : order) {
      int least = -1;
      for (int p = 0; p < packs; p++) {
        if (filled[p] < load.length / packs && (least < 0 || sum[p] < sum[least])) {
          least = p;
        }
      }
      pack[item] = least;
      place[item] = filled[least]++;
      sum[least] += load[item];
    }
    return new BalancedPacking(pack, place);
  }
}
