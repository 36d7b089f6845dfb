package io.github.lightning4j.core.quant;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How the weights of a row are coded: in groups of neighbours along K, each with a bf16 scale.
 *
 * <pre>
 *   8 bits   w = scale c            c in [-127, 127]                 8 + 16 / group bits a weight
 *   4 bits   w = scale (c - zero)   c and zero in [0, 15]            4 + 24 / group bits a weight
 * </pre>
 *
 * <p>Eight bits are symmetric, four bits have a zero point. Groups of one row do not reach into the
 * next; the last of a row may be shorter. K is stored rounded up to a multiple of 32.
 *
 * @param bits 8 or 4
 * @param group 32, 64 or 128 weights; with 8 bits also {@value #ROW}, one scale a row (which is
 *     stored once every 128 weights)
 */
public record QuantFormat(int bits, int group) {
  /** The group that stands for a whole row. */
  public static final int ROW = 0;

  private static final int LONGEST = 128;
  private static final Pattern TEXT = Pattern.compile("int([48])(?:/(\\d{1,3}))?");

  /**
   * Checks bits and group.
   *
   * @throws IllegalArgumentException if there is no such format
   */
  public QuantFormat {
    checkArgument(bits == 8 || bits == 4, "bits: expected 8 or 4, got %s", bits);
    checkArgument(
        group == 32 || group == 64 || group == LONGEST || group == ROW && bits == 8,
        "group: expected 32, 64 or 128 (with 8 bits also 0, the whole row), got %s with %s bits",
        group,
        bits);
  }

  /** Eight bits, one scale for each output channel (row). */
  public static QuantFormat int8() {
    return new QuantFormat(8, ROW);
  }

  /** Eight bits in groups of 32, 64 or 128. */
  public static QuantFormat int8(int group) {
    return new QuantFormat(8, group);
  }

  /** Four bits in groups of 32, 64 or 128. */
  public static QuantFormat int4(int group) {
    return new QuantFormat(4, group);
  }

  /**
   * The format that {@link #toString} writes.
   *
   * @throws IllegalArgumentException if there is no such format
   */
  public static QuantFormat parse(String text) {
    Matcher parts = TEXT.matcher(text);
    checkArgument(
        parts.matches(),
        "format: expected int8, or int8 or int4 with a group as in int4/64, got %s",
        text);
    int group = parts.group(2) == null ? ROW : Integer.parseInt(parts.group(2));
    return new QuantFormat(Integer.parseInt(parts.group(1)), group);
  }

  /** Whether one scale serves a whole row. */
  public boolean isWholeRow() {
    return group == ROW;
  }

  /** The weights that share a stored scale: the group, or 128 where the row has one scale. */
  public int block() {
    return isWholeRow() ? LONGEST : group;
  }

  /** For instance {@code int8} (whole rows) or {@code int4/64}. */
  @Override
  public String toString() {
    return "int" + bits + (isWholeRow() ? "" : "/" + group);
  }
}
