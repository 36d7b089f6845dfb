package io.github.lightning4j.core;

/** Conversions between {@code double} and the bits of an unsigned 64-bit integer. */
final class Uint64 {
  private static final double HALF = 0x1p63;

  private Uint64() {}

  /** Rounds to nearest, ties to even. */
  static double toDouble(long bits) {
    // One bit less, the lost one kept in the last place, which does not change how it rounds.
    return bits >= 0 ? bits : (double) (bits >>> 1 | bits & 1) * 2;
  }

  /** Truncates and saturates to [0, 2^64); NaN gives 0. */
  static long fromDouble(double value) {
    if (value >= 2 * HALF) {
      return -1;
    }
    return value >= HALF ? (long) (value - HALF) | Long.MIN_VALUE : (long) Math.max(value, 0);
  }
}
