package io.github.lightning4j.kvquant.quantizer;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * A format of quantized rows, and the reference of its meaning.
 *
 * <p>A row is cut into groups of {@code group} neighbours, the last of which may be shorter; each
 * group has a scale and, with an affine grid, a zero point. Codes are computed from the metadata as
 * they are stored, never from the exact ones. The arithmetic is fixed to the bit by {@link
 * AffineGrid} and {@link LloydMaxGrid}, and kernels must reproduce it.
 *
 * <p>Cost: linear in the row; a percentile clip sorts each group.
 *
 * @param bits 2, 3, 4 or 8 a code
 * @param group 32, 64 or 128 elements
 * @param grid where the values of the codes lie
 * @param scale how a group's scale is stored
 */
public record KvQuantizer(int bits, int group, Grid grid, ScaleFormat scale) {
  /**
   * Checks that there is such a format.
   *
   * @throws IllegalArgumentException if not
   */
  public KvQuantizer {
    checkArgument(
        bits == 2 || bits == 3 || bits == 4 || bits == 8,
        "bits: expected 2, 3, 4 or 8, got %s",
        bits);
    checkArgument(
        group == 32 || group == 64 || group == 128, "group: expected 32, 64 or 128, got %s", group);
    checkArgument(
        bits < 8 || !(grid instanceof LloydMaxGrid),
        "grid: expected an affine grid for 8 bits (Lloyd-Max has 2, 3 and 4), got %s",
        grid);
    checkArgument(
        bits < 8 || !(grid instanceof AffineGrid affine && affine.zero() == ZeroFormat.FRACTIONAL),
        "zero: expected INTEGER or FLOAT for 8 bits (FRACTIONAL reaches 16 steps), got %s",
        grid);
  }

  /** An affine format. */
  public static KvQuantizer affine(
      int bits, int group, Clip clip, ScaleFormat scale, ZeroFormat zero) {
    return new KvQuantizer(bits, group, new AffineGrid(clip, zero), scale);
  }

  /** A Lloyd-Max format. */
  public static KvQuantizer lloydMax(int bits, int group, ScaleFormat scale) {
    return new KvQuantizer(bits, group, new LloydMaxGrid(), scale);
  }

  /** The same format with other bits. */
  public KvQuantizer withBits(int newBits) {
    return new KvQuantizer(newBits, group, grid, scale);
  }

  /** Groups of a row. */
  public int groups(int elements) {
    return (elements + group - 1) / group;
  }

  /** Bytes of metadata a group has. */
  public int metadataBytes() {
    return scale.bytes() + zeroBytes();
  }

  /** Bytes of a group's zero point; 0 if the grid has none. */
  public int zeroBytes() {
    return grid instanceof AffineGrid affine ? affine.zero().bytes() : 0;
  }

  /** Bits an element takes with its share of the metadata, in full groups. */
  public double bitsPerElement() {
    return bits + 8.0 * metadataBytes() / group;
  }

  /**
   * Codes a row.
   *
   * @throws NonFiniteInputException if it holds NaN or an infinity
   */
  public QuantizedRow quantize(float[] row) {
    for (int i = 0; i < row.length; i++) {
      if (!Float.isFinite(row[i])) {
        throw new NonFiniteInputException("row", i, row[i]);
      }
    }
    int groups = groups(row.length);
    var coded =
        new QuantizedRow(
            new byte[row.length], new byte[groups * scale.bytes()], new byte[groups * zeroBytes()]);
    for (int g = 0; g < groups; g++) {
      quantizeGroup(row, g, coded);
    }
    return coded;
  }

  private void quantizeGroup(float[] row, int g, QuantizedRow to) {
    int first = g * group;
    int end = Math.min(first + group, row.length);
    if (grid instanceof AffineGrid affine) {
      AffineGrid.Fit fit = affine.fit(row, first, end, bits, scale);
      Metadata.put(to.scales(), g, scale.bytes(), fit.scale());
      Metadata.put(to.zeros(), g, affine.zero().bytes(), fit.zero());
      float s = scale.decode(fit.scale());
      float z = affine.zero().decode(fit.zero(), bits);
      for (int i = first; i < end; i++) {
        to.codes()[i] = affine.code(row[i], s, z, bits);
      }
    } else {
      int fit = LloydMaxGrid.fit(row, first, end, scale);
      Metadata.put(to.scales(), g, scale.bytes(), fit);
      float s = scale.decode(fit);
      for (int i = first; i < end; i++) {
        to.codes()[i] = LloydMaxGrid.code(row[i], s, bits);
      }
    }
  }

  /**
   * The values of a coded row, each rounded once to fp32.
   *
   * @throws IllegalArgumentException if the arrays' lengths do not fit one another
   */
  public float[] dequantize(QuantizedRow row) {
    int length = row.codes().length;
    int groups = groups(length);
    checkArgument(
        row.scales().length == groups * scale.bytes() && row.zeros().length == groups * zeroBytes(),
        "row: expected %s groups of %s + %s bytes for %s codes, got %s and %s bytes",
        groups,
        scale.bytes(),
        zeroBytes(),
        length,
        row.scales().length,
        row.zeros().length);
    float[] values = new float[length];
    for (int i = 0; i < length; i++) {
      int code = row.codes()[i] & 0xff;
      float s = scaleOf(row, i / group);
      values[i] =
          grid instanceof AffineGrid
              ? s * (code - zeroOf(row, i / group))
              : LloydMaxGrid.value(code, s, bits);
    }
    return values;
  }

  /** The scale of a group. */
  public float scaleOf(QuantizedRow row, int g) {
    return scale.decode(Metadata.get(row.scales(), g, scale.bytes()));
  }

  /** The zero point of a group, in steps; 0 if the grid has none. */
  public float zeroOf(QuantizedRow row, int g) {
    return grid instanceof AffineGrid affine
        ? affine.zero().decode(Metadata.get(row.zeros(), g, affine.zero().bytes()), bits)
        : 0;
  }
}
