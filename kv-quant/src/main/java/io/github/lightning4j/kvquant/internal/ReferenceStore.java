package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.quantizer.CodeLayout;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.QuantizedRow;
import java.util.Arrays;

/** Element by element, codes by {@link KvQuantizer}. */
final class ReferenceStore implements StoreKernels {
  @Override
  public void append(PagedStore store, long first, Tensor k, Tensor v, long from, long to) {
    Elements keys = k.accessor();
    Elements values = v.accessor();
    CacheFormat format = store.format();
    PageLayout layout = format.exact();
    Elements[] pages = store.exactPages().elements(layout.dtype());
    KeyBasis basis = format.config().keyBasis();
    HeadBasis heads = new HeadBasis(format);
    for (long t = from; t < to; t++) {
      long token = first + t - store.exactFirst();
      double[] mean =
          basis == null || basis.mean() == null
              ? new double[layout.kvHeads() * layout.headDim()]
              : RotaryRows.mean(basis, layout.headDim(), first + t);
      Elements page = pages[(int) (token / layout.tokens())];
      long slot = token % layout.tokens();
      for (int h = 0; h < layout.kvHeads(); h++) {
        float[] key = row(keys, t * k.stride(0) + h * k.stride(1), layout.headDim());
        for (int i = 0; i < key.length; i++) {
          key[i] -= (float) mean[h * key.length + i];
        }
        float[] value = row(values, t * v.stride(0) + h * v.stride(1), layout.headDim());
        put(page, layout.key(h, slot), heads.keyIn(key, h));
        put(page, layout.value(h, slot), heads.valueIn(value, h));
      }
    }
  }

  private static float[] row(Elements from, long at, int count) {
    float[] row = new float[count];
    for (int i = 0; i < count; i++) {
      row[i] = (float) from.get(at + i);
    }
    return row;
  }

  private static void put(Elements to, long at, float[] row) {
    for (int i = 0; i < row.length; i++) {
      to.set(at + i, row[i]);
    }
  }

  @Override
  public void appendPacked(PagedStore store, long first, Tensor k, Tensor v, long from, long to) {
    CacheFormat format = store.format();
    PackedLayout keys = format.key();
    PackedLayout values = format.value();
    if (keys == null || values == null) {
      return;
    }
    Elements[] packed = store.packedPages().elements(DType.U8);
    HeadBasis heads = new HeadBasis(format);
    try (Tensor exact =
        Tensor.allocate(format.exact().dtype(), k.size(1) * (long) format.exact().headDim())) {
      for (long t = from; t < to; t++) {
        Elements page = packed[(int) ((first + t) / PageLayout.TOKENS)];
        long slot = (first + t) % PageLayout.TOKENS;
        quantize(keys, rounded(k, t, exact, heads::keyIn), page, slot);
        quantize(values, rounded(v, t, exact, heads::valueIn), page, slot);
      }
    }
  }

  /** How a head of a token is stored. */
  private interface Basis {
    float[] in(float[] row, int head);
  }

  /** The row of a token as an exact page holds it. */
  private static float[] rounded(Tensor x, long token, Tensor exact, Basis basis) {
    Elements from = x.accessor();
    Elements to = exact.accessor();
    int dim = (int) x.size(2);
    for (int h = 0; h < x.size(1); h++) {
      float[] row = row(from, token * x.stride(0) + h * x.stride(1), dim);
      put(to, (long) h * dim, basis.in(row, h));
    }
    return row(to, 0, (int) x.size(1) * dim);
  }

  @Override
  public void age(PagedStore store, long from, long to) {
    CacheFormat format = store.format();
    PageLayout layout = format.exact();
    PackedLayout keys = format.key();
    PackedLayout values = format.value();
    if (keys == null || values == null) {
      return;
    }
    Elements[] exact = store.exactPages().elements(layout.dtype());
    Elements[] packed = store.packedPages().elements(DType.U8);
    for (long token = from; token < to; token++) {
      Elements page = exact[(int) ((token - store.exactFirst()) / layout.tokens())];
      long slot = token % PageLayout.TOKENS;
      long exactSlot = token % layout.tokens();
      int sink = store.sinks().indexOf(token);
      Page sinks = store.sinks().page();
      if (sink >= 0 && sinks != null) {
        move(layout, page, exactSlot, sinks.elements(layout.dtype()), sink);
        continue;
      }
      float[] key = new float[layout.kvHeads() * layout.headDim()];
      float[] value = new float[key.length];
      for (int i = 0; i < key.length; i++) {
        int head = i / layout.headDim();
        key[i] = (float) page.get(layout.key(head, exactSlot) + i % layout.headDim());
        value[i] = (float) page.get(layout.value(head, exactSlot) + i % layout.headDim());
      }
      Elements to64 = packed[(int) (token / PageLayout.TOKENS)];
      quantize(keys, grouped(key, format), to64, slot);
      quantize(values, value, to64, slot);
    }
  }

  /** Keys rotated over heads and permuted, where the format wants it. */
  private static float[] grouped(float[] key, CacheFormat format) {
    KeyBasis basis = format.config().keyBasis();
    if (basis == null || basis.rotation() == null) {
      return key;
    }
    float[] rotated = new float[key.length];
    for (int i = 0; i < key.length; i += format.rotation()) {
      float[] block = Arrays.copyOfRange(key, i, i + format.rotation());
      HadamardMatrix.apply(block);
      System.arraycopy(block, 0, rotated, i, block.length);
    }
    int[] permutation = basis.rotation().permutation();
    float[] stored = new float[rotated.length];
    for (int i = 0; i < stored.length; i++) {
      stored[i] = rotated[permutation[i]];
    }
    return stored;
  }

  private static void move(PageLayout layout, Elements from, long slot, Elements to, long toSlot) {
    for (int h = 0; h < layout.kvHeads(); h++) {
      for (int i = 0; i < layout.headDim(); i++) {
        to.set(layout.key(h, toSlot) + i, from.get(layout.key(h, slot) + i));
        to.set(layout.value(h, toSlot) + i, from.get(layout.value(h, slot) + i));
      }
    }
  }

  private static void quantize(PackedLayout layout, float[] row, Elements page, long slot) {
    KvQuantizer quantizer = layout.quantizer();
    for (int u = 0; u < layout.units(); u++) {
      float[] unit = Arrays.copyOfRange(row, u * layout.unit(), (u + 1) * layout.unit());
      QuantizedRow coded = quantizer.quantize(unit);
      for (int g = 0; g < layout.groups(); g++) {
        int first = g * quantizer.group();
        byte[] codes = Arrays.copyOfRange(coded.codes(), first, first + layout.size(g));
        put(page, layout.codes(u, g, slot), CodeLayout.pack(codes, quantizer.bits()));
        put(page, layout.scale(u, g, slot), part(coded.scales(), g, quantizer.scale().bytes()));
        put(page, layout.zero(u, g, slot), part(coded.zeros(), g, quantizer.zeroBytes()));
      }
    }
  }

  private static byte[] part(byte[] bytes, int index, int size) {
    return Arrays.copyOfRange(bytes, index * size, (index + 1) * size);
  }

  private static void put(Elements to, long at, byte[] bytes) {
    for (int i = 0; i < bytes.length; i++) {
      to.setLong(at + i, bytes[i] & 0xff);
    }
  }

  @Override
  public void read(PagedStore store, long first, Tensor outK, Tensor outV, long from, long to) {
    Elements keys = outK.accessor();
    Elements values = outV.accessor();
    PageLayout layout = store.layout();
    RowReader rows = new RowReader(store);
    for (long t = from; t < to; t++) {
      boolean exactly = first + t >= store.left();
      double[] key = rows.key(first + t, exactly);
      double[] value = rows.value(first + t, exactly);
      for (int i = 0; i < key.length; i++) {
        int head = i / layout.headDim();
        int channel = i % layout.headDim();
        keys.set(t * outK.stride(0) + head * outK.stride(1) + channel, key[i]);
        values.set(t * outV.stride(0) + head * outV.stride(1) + channel, value[i]);
      }
    }
  }

  @Override
  public long firstNonFinite(Tensor x) {
    Elements elements = x.accessor();
    for (long t = 0; t < x.size(0); t++) {
      for (long h = 0; h < x.size(1); h++) {
        for (long i = 0; i < x.size(2); i++) {
          if (!Double.isFinite(elements.get(t * x.stride(0) + h * x.stride(1) + i))) {
            return t;
          }
        }
      }
    }
    return x.size(0);
  }
}
