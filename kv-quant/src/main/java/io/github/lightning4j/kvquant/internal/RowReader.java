package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.quantizer.CodeLayout;
import io.github.lightning4j.kvquant.quantizer.QuantizedRow;

/**
 * The tokens of a store, one at a time and in the basis they came in: from exact pages, from the
 * page of sinks, or unpacked, permuted back and rotated back. In doubles after unpacking.
 */
final class RowReader {
  private final PagedStore store;
  private final CacheFormat format;
  private final HeadBasis heads;
  private final Elements[] exact;
  private final Elements[] packed;

  RowReader(PagedStore store) {
    this.store = store;
    this.format = store.format();
    this.heads = new HeadBasis(format);
    this.exact = store.exactPages().elements(format.exact().dtype());
    this.packed = store.packedPages().elements(DType.U8);
  }

  /** Keys of all heads as a query at {@code position} reads them, after the rotary embedding. */
  double[] key(long token, long position) {
    return turned(key(token, token >= store.border(position)), token);
  }

  /** Keys of all heads from the exact pages, after the rotary embedding. */
  double[] exactKey(long token) {
    return turned(key(token, true), token);
  }

  private double[] turned(double[] row, long token) {
    KeyBasis basis = format.config().keyBasis();
    if (format.grouped() && basis != null) {
      RotaryRows.turn(row, format.exact().headDim(), basis.inverseFrequencies(), token);
    }
    return row;
  }

  /** Values of all heads. */
  double[] value(long token, long position) {
    return value(token, token >= store.border(position));
  }

  /** Keys of all heads in the basis they came in. */
  double[] key(long token, boolean exactly) {
    PackedLayout keys = format.key();
    KeyBasis basis = format.config().keyBasis();
    if (format.grouped() && basis != null && basis.rotation() != null && keys != null) {
      if (exactly || store.sinks().indexOf(token) >= 0) {
        return exactRow(token, exactly, false);
      }
      double[] stored = packedRow(keys, token);
      int[] permutation = basis.rotation().permutation();
      double[] row = new double[stored.length];
      for (int i = 0; i < row.length; i++) {
        row[permutation[i]] = stored[i];
      }
      return HadamardMatrix.applyToBlocks(row, format.rotation());
    }
    double[] row =
        keys == null || exactly || store.sinks().indexOf(token) >= 0
            ? exactRow(token, exactly, false)
            : packedRow(keys, token);
    row = heads.keysOut(row);
    if (basis != null && basis.mean() != null) {
      double[] mean = RotaryRows.mean(basis, format.exact().headDim(), token);
      for (int i = 0; i < row.length; i++) {
        row[i] += mean[i];
      }
    }
    return row;
  }

  /** Values of all heads in the basis they came in. */
  double[] value(long token, boolean exactly) {
    PackedLayout values = format.value();
    double[] row =
        values == null || exactly || store.sinks().indexOf(token) >= 0
            ? exactRow(token, exactly, true)
            : packedRow(values, token);
    return heads.valuesOut(row);
  }

  private double[] exactRow(long token, boolean exactly, boolean values) {
    PageLayout layout = format.exact();
    Elements from;
    long slot;
    Page sinks = store.sinks().page();
    if (exactly || sinks == null) {
      from = exact[(int) ((token - store.exactFirst()) / layout.tokens())];
      slot = token % layout.tokens();
    } else {
      from = sinks.elements(layout.dtype());
      slot = store.sinks().indexOf(token);
    }
    int dim = layout.headDim();
    double[] row = new double[layout.kvHeads() * dim];
    for (int i = 0; i < row.length; i++) {
      long at = values ? layout.value(i / dim, slot) : layout.key(i / dim, slot);
      row[i] = from.get(at + i % dim);
    }
    return row;
  }

  private double[] packedRow(PackedLayout layout, long token) {
    Elements page = packed[(int) (token / PageLayout.TOKENS)];
    long slot = token % PageLayout.TOKENS;
    double[] row = new double[layout.units() * layout.unit()];
    for (int u = 0; u < layout.units(); u++) {
      for (int g = 0; g < layout.groups(); g++) {
        byte[] codes = bytes(page, layout.codes(u, g, slot), layout.tokenBytes(g));
        QuantizedRow coded =
            new QuantizedRow(
                CodeLayout.unpack(codes, layout.size(g), layout.quantizer().bits()),
                bytes(page, layout.scale(u, g, slot), layout.quantizer().scale().bytes()),
                bytes(page, layout.zero(u, g, slot), layout.quantizer().zeroBytes()));
        float[] values = layout.quantizer().dequantize(coded);
        for (int i = 0; i < values.length; i++) {
          row[u * layout.unit() + g * layout.quantizer().group() + i] = values[i];
        }
      }
    }
    return row;
  }

  private static byte[] bytes(Elements from, long at, int count) {
    byte[] bytes = new byte[count];
    for (int i = 0; i < count; i++) {
      bytes[i] = (byte) from.getLong(at + i);
    }
    return bytes;
  }
}
