package io.github.lightning4j.core;

/**
 * Rounding to odd: what does not fit is cut off, and the last bit that stays is set if anything was
 * lost. The result rounds to a type at least two bits shorter as the value itself would, where
 * rounding to nearest twice would not.
 */
final class RoundToOdd {
  /** Bits cut off an integer: 53 of 64 stay, all that a double holds. */
  private static final int CUT = 11;

  private static final long EXACT = 1L << 53;

  private RoundToOdd() {}

  static float toFloat(double value) {
    float nearest = (float) value;
    if (nearest == value || Double.isNaN(value)) {
      return nearest;
    }
    float cut = Math.abs(nearest) > Math.abs(value) ? Math.nextAfter(nearest, 0) : nearest;
    return Float.intBitsToFloat(Float.floatToRawIntBits(cut) | 1);
  }

  /** At least 42 bits stay. */
  static double toDouble(long value) {
    boolean exact = value >= -EXACT && value <= EXACT;
    return exact ? value : scaled(value >> CUT, value);
  }

  /** As {@link #toDouble}, of the bits of an unsigned integer. */
  static double unsignedToDouble(long bits) {
    return bits >= 0 ? toDouble(bits) : scaled(bits >>> CUT, bits);
  }

  private static double scaled(long high, long value) {
    boolean lost = value << (Long.SIZE - CUT) != 0;
    return (double) (lost ? high | 1 : high) * (1L << CUT);
  }
}
