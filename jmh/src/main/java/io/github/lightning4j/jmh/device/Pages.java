package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.transform.GroupedBasis;

/** What pages of a cache hold. */
enum Pages {
  /** Tokens as they come. */
  BF16("bf16"),
  /** What has left the window of 128 tokens in 2 bits. */
  KV2("kv2"),
  /** All tokens in 2 bits, keys before the rotary embedding and rotated over four heads. */
  ROTATEKV2("rotatekv-2");

  private static final double ROPE_BASE = 1e7;

  private final String title;

  Pages(String title) {
    this.title = title;
  }

  KvCacheConfig config(int kvHeads, int dim) {
    if (this == BF16) {
      return KvCacheConfig.exact(kvHeads, dim, DType.BF16);
    }
    float[] frequencies = new float[dim / 2];
    for (int i = 0; i < frequencies.length; i++) {
      frequencies[i] = (float) Math.pow(ROPE_BASE, -2.0 * i / dim);
    }
    KeyBasis basis =
        this == KV2
            ? KeyBasis.centered(new float[kvHeads * dim], frequencies)
            : KeyBasis.grouped(GroupedBasis.of(kvHeads, dim, 4), frequencies);
    return KvCacheConfig.of(KvPresets.of(title), 1, 3, kvHeads, dim, basis).withDtype(DType.BF16);
  }

  /** Bytes that attention reads of a sequence, without its pages' table. */
  double bytes(long tokens, int kvHeads, int dim) {
    long elements = 2L * kvHeads * dim;
    if (this == BF16) {
      return (double) DType.BF16.bytes() * elements * tokens;
    }
    long aged = config(kvHeads, dim).tokens().left(tokens);
    double bits = KvPresets.of(title).bitsPerElement();
    return elements * (aged * bits / 8 + (tokens - aged) * DType.BF16.bytes());
  }

  @Override
  public String toString() {
    return title;
  }
}
