package io.github.lightning4j.kvquant.quantizer;

import io.github.lightning4j.core.Float16;

/**
 * How the zero point of a group is stored. It is counted in steps and stored relative to the middle
 * code {@code 2^(bits - 1)}, so that groups on either side of zero have the same room:
 *
 * <pre>zero = 2^(bits - 1) + stored * unit</pre>
 */
public enum ZeroFormat {
  /** Whole steps, one signed byte: 128 steps to either side. */
  INTEGER(1, 1, -128, 127),
  /** Eighths of a step, one signed byte: 16 steps to either side; not for 8 bits. */
  FRACTIONAL(1, 0.125f, -128, 127),
  /** IEEE binary16, two bytes, the lower first. */
  FLOAT(2, 1, -65504, 65504);

  private final int bytes;
  private final float unit;
  private final double least;
  private final double greatest;

  ZeroFormat(int bytes, float unit, double least, double greatest) {
    this.bytes = bytes;
    this.unit = unit;
    this.least = least;
    this.greatest = greatest;
  }

  /** Bytes of one zero point. */
  public int bytes() {
    return bytes;
  }

  /** Steps that one unit of the stored number stands for. */
  public float unit() {
    return unit;
  }

  /** The least zero point that can be stored. */
  double least(int bits) {
    return (1 << bits - 1) + least * unit;
  }

  /** The greatest zero point that can be stored. */
  double greatest(int bits) {
    return (1 << bits - 1) + greatest * unit;
  }

  /**
   * The nearest code, ties to even; what cannot be stored takes the nearest end.
   *
   * @param zero in steps
   * @return the signed byte, or the bits of the binary16
   */
  public int encode(double zero, int bits) {
    int middle = 1 << bits - 1;
    double whole = this == FLOAT ? zero : Math.rint(zero / unit);
    double stored = Math.max(least, Math.min(greatest, whole - middle / unit));
    return this == FLOAT ? Float16.fromFloat((float) stored) : (int) stored;
  }

  /** The zero point of a code, in steps. */
  public float decode(int encoded, int bits) {
    float stored = this == FLOAT ? Float16.toFloat((short) encoded) : (byte) encoded * unit;
    return (1 << bits - 1) + stored;
  }
}
