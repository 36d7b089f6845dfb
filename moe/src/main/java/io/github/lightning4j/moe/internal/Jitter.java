package io.github.lightning4j.moe.internal;

/**
 * Uniform noise as a function of seed and place, so that it can be made again anywhere, in any
 * order.
 *
 * <pre>
 *   a, b = halves of splitmix64(seed + (row + 1) 0x9E3779B97F4A7C15)
 *   u = (mix(mix(column + a) ^ b) >>> 8) / 2^24           in [0, 1)
 * </pre>
 */
final class Jitter {
  private Jitter() {}

  /** The key of a row: a in the low half, b in the high half. */
  static long rowKey(long seed, long row) {
    long z = seed + (row + 1) * 0x9E3779B97F4A7C15L;
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }

  /** u of a column. */
  static double uniform(long rowKey, int column) {
    int h = mix(mix(column + (int) rowKey) ^ (int) (rowKey >>> 32));
    return (h >>> 8) * 0x1p-24;
  }

  private static int mix(int h) {
    h = (h ^ (h >>> 16)) * 0x7feb352d;
    h = (h ^ (h >>> 15)) * 0x846ca68b;
    return h ^ (h >>> 16);
  }
}
