package io.github.lightning4j.moe.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Capacity.Priority;
import java.util.Arrays;

/**
 * The order in which the pairs of an expert are kept, as numbers: the pair of the smaller key comes
 * first. A key holds the pair in its lower half, so no two are equal. Its array grows and stays.
 */
public final class PairRanking {
  private final Elements weight;
  private final long stride;
  private final int slots;
  private final Priority priority;
  private long[] keys;

  /**
   * Ranks the pairs of a batch.
   *
   * @param weight {@code [T, k]} F32
   * @param keys memory to begin with
   * @throws IllegalArgumentException naming the first weight that is NaN
   */
  public PairRanking(Priority priority, Tensor weight, long[] keys) {
    this.priority = priority;
    this.weight = weight.accessor();
    this.stride = weight.stride(0);
    this.slots = (int) weight.size(1);
    this.keys = keys;
    for (int t = 0; t < weight.size(0); t++) {
      for (int s = 0; s < slots; s++) {
        checkArgument(
            !Double.isNaN(this.weight.get(t * stride + s)),
            "weight[%s, %s]: expected a number, got NaN",
            t,
            s);
      }
    }
  }

  /** The key of a pair: its weight, the largest first, then its number; or its number alone. */
  public long key(int pair) {
    if (priority == Priority.POSITION) {
      return pair;
    }
    // Adding zero makes -0 a 0, its equal.
    int bits = Float.floatToIntBits((float) weight.get(pair / slots * stride + pair % slots) + 0f);
    int ascending = bits ^ (bits >> 31 & Integer.MAX_VALUE);
    return (long) ~ascending << Integer.SIZE | pair;
  }

  /** The keys of {@code pairs[from, to)} in order, at the start of an array used again. */
  public long[] sorted(int[] pairs, int from, int to) {
    if (keys.length < to - from) {
      keys = new long[to - from];
    }
    for (int i = from; i < to; i++) {
      keys[i - from] = key(pairs[i]);
    }
    Arrays.sort(keys, 0, to - from);
    return keys;
  }

  /** The array of {@link #sorted}, to be kept for the next batch. */
  public long[] keys() {
    return keys;
  }

  /** The pair of a key. */
  public static int pair(long key) {
    return (int) key;
  }
}
