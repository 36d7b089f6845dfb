package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.kvquant.quantizer.AffineGrid;
import io.github.lightning4j.kvquant.quantizer.CodeLayout;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;

/**
 * Where the codes of one side, keys or values, lie in a packed page: unit by unit (a kv head, or
 * the whole layer), a unit group by group, a group of n channels as codes {@code [64][n bits / 8]},
 * scales {@code [64]}, zero points {@code [64]}. {@code Codec} in {@code page.h} says the same.
 *
 * @param quantizer the format
 * @param unit channels that are quantized as one row
 * @param units rows of a token
 * @param offset bytes from the start of the page
 */
record PackedLayout(KvQuantizer quantizer, int unit, int units, long offset) {
  int groups() {
    return quantizer.groups(unit);
  }

  /** Channels of a group. */
  int size(int g) {
    return Math.min(quantizer.group(), unit - g * quantizer.group());
  }

  /** Bytes of a token's codes in a group. */
  int tokenBytes(int g) {
    return CodeLayout.bytes(size(g), quantizer.bits());
  }

  private long groupBytes(int g) {
    return (long) PageLayout.TOKENS * (tokenBytes(g) + quantizer.metadataBytes());
  }

  private long unitBytes() {
    return groupBytes(0) * (groups() - 1) + groupBytes(groups() - 1);
  }

  /** Bytes of all units. */
  long bytes() {
    return units * unitBytes();
  }

  /** The first byte of a token's codes. */
  long codes(int u, int g, long slot) {
    return start(u, g) + slot * tokenBytes(g);
  }

  /** The first byte of a token's scale. */
  long scale(int u, int g, long slot) {
    return start(u, g)
        + (long) PageLayout.TOKENS * tokenBytes(g)
        + slot * quantizer.scale().bytes();
  }

  /** The first byte of a token's zero point. */
  long zero(int u, int g, long slot) {
    return start(u, g)
        + (long) PageLayout.TOKENS * (tokenBytes(g) + quantizer.scale().bytes())
        + slot * quantizer.zeroBytes();
  }

  private long start(int u, int g) {
    return offset + u * unitBytes() + g * groupBytes(0);
  }

  /** The fields of {@code Codec}. */
  void describe(NativeFields fields) {
    fields.put(quantizer.bits());
    fields.put(quantizer.group());
    fields.put(unit);
    fields.put(offset);
    fields.put(quantizer.scale().ordinal());
    if (quantizer.grid() instanceof AffineGrid affine) {
      fields.put(affine.zero().ordinal());
      fields.put(affine.clip().rule().ordinal());
      fields.put(affine.clip().value());
    } else {
      fields.put(3); // kLloydMax
      fields.put(0);
      fields.put(1.0);
    }
  }
}
