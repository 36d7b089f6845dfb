package io.github.lightning4j.kvquant;

import io.github.lightning4j.kvquant.internal.CacheFormat;

/**
 * What the pages of a cache take, for those who must know before it grows.
 *
 * @param exact bytes of a page of tokens that are not quantized
 * @param packed bytes of a page of quantized tokens; 0 where there are none
 */
public record PageBytes(long exact, long packed) {
  /** Of the caches of a configuration. */
  public static PageBytes of(KvCacheConfig config) {
    CacheFormat format = CacheFormat.of(config);
    return new PageBytes(format.exact().pageBytes(), format.packedBytes());
  }
}
