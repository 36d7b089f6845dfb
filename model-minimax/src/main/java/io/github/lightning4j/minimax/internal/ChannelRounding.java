package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;

/**
 * What a cache whose keys are grouped by channel would hold, in a cache that quantizes nothing:
 * tokens that leave the window are rounded in place, keys along runs of tokens, values along the
 * channels of a token. For measuring quality; memory stays that of the exact cache, and a step that
 * rounds copies all of it.
 *
 * @param format of keys and values
 * @param tokens the window; a run leaves it at a time
 */
record ChannelRounding(KvFormat format, TokenPolicy tokens) {
  /** Appends and attends run by run, so that each run reads those before it as rounded. */
  void attend(
      KvCache cache,
      CacheAttention attention,
      Tensor q,
      Tensor k,
      Tensor v,
      float scale,
      Tensor out) {
    for (long from = 0; from < q.size(0); ) {
      long room = tokens.flush() - cache.length() % tokens.flush();
      long count = Math.min(room, q.size(0) - from);
      cache.append(k.narrow(0, from, count), v.narrow(0, from, count));
      attention.attend(q.narrow(0, from, count), cache, scale, out.narrow(0, from, count));
      age(cache, cache.length() - count);
      from += count;
    }
  }

  /** Rounds what has left the window since the cache had so many tokens. */
  void age(KvCache cache, long lengthBefore) {
    long from = left(lengthBefore);
    long to = left(cache.length());
    if (from == to) {
      return;
    }
    long length = cache.length();
    try (Tensor k = Tensor.allocate(DType.F32, length, cache.kvHeads(), cache.headDim());
        Tensor v = Tensor.allocate(DType.F32, k.shape())) {
      cache.read(k, v);
      int width = cache.kvHeads() * cache.headDim();
      for (long run = from; run < to; run += tokens.flush()) {
        for (int channel = 0; channel < width; channel++) {
          round(format.key(), k.accessor(), run * width + channel, tokens.flush(), width);
        }
      }
      for (long head = from * cache.kvHeads(); head < to * cache.kvHeads(); head++) {
        round(format.value(), v.accessor(), head * cache.headDim(), cache.headDim(), 1);
      }
      cache.truncate(from);
      cache.append(k.narrow(0, from, length - from), v.narrow(0, from, length - from));
    }
  }

  /** Up to where tokens have left the window. */
  private long left(long length) {
    return Math.max(0, length - tokens.recentWindow()) / tokens.flush() * tokens.flush();
  }

  private static void round(
      KvQuantizer quantizer, Elements elements, long first, int count, int step) {
    float[] row = new float[count];
    for (int i = 0; i < count; i++) {
      row[i] = (float) elements.get(first + (long) i * step);
    }
    float[] rounded = quantizer.dequantize(quantizer.quantize(row));
    for (int i = 0; i < count; i++) {
      elements.set(first + (long) i * step, rounded[i]);
    }
  }
}
