package io.github.lightning4j.kvquant.quantizer;

import org.jspecify.annotations.Nullable;

/**
 * A row as a {@link KvQuantizer} has coded it. The arrays are the record's own and not copied.
 *
 * @param codes one code an element, unsigned, in the order of the row (not packed; see {@link
 *     CodeLayout})
 * @param scales the encoded scales, group by group, {@link ScaleFormat#bytes} each, lower byte
 *     first
 * @param zeros the encoded zero points, likewise; empty if the grid has none
 */
public record QuantizedRow(byte[] codes, byte[] scales, byte[] zeros) {
  /** Two rows are never equal but by identity: compare the arrays. */
  @Override
  public boolean equals(@Nullable Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
