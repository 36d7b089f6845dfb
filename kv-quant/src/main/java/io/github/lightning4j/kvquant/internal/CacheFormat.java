package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import org.jspecify.annotations.Nullable;

/**
 * The layouts that a configuration asks for.
 *
 * @param config the configuration
 * @param exact the layout of pages that are not quantized
 * @param key of the keys of a packed page, null if nothing is quantized
 * @param value of its values
 */
public record CacheFormat(
    KvCacheConfig config,
    PageLayout exact,
    @Nullable PackedLayout key,
    @Nullable PackedLayout value) {
  /** The layouts of a configuration. */
  public static CacheFormat of(KvCacheConfig config) {
    PageLayout exact =
        new PageLayout(config.kvHeads(), config.headDim(), config.dtype(), config.pageTokens());
    KvFormat format = config.format();
    if (format == null) {
      return new CacheFormat(config, exact, null, null);
    }
    boolean grouped = config.transform() instanceof KvTransform.PreRopeGrouped;
    int unit = grouped ? config.kvHeads() * config.headDim() : config.headDim();
    PackedLayout key = new PackedLayout(format.key(), unit, grouped ? 1 : config.kvHeads(), 0);
    PackedLayout value =
        new PackedLayout(format.value(), config.headDim(), config.kvHeads(), key.bytes());
    return new CacheFormat(config, exact, key, value);
  }

  boolean quantizes() {
    return key != null;
  }

  /** Whether tokens can be quantized as they come, without an exact page to wait in. */
  boolean packsAtOnce() {
    TokenPolicy tokens = config.tokens();
    return quantizes()
        && (config.transform() instanceof KvTransform.Plain
            || config.transform() instanceof KvTransform.HeadHadamard)
        && tokens.recentWindow() == 0
        && tokens.flush() == 1
        && tokens.firstTokens() == 0;
  }

  /** Whether keys are stored rotated over heads, before the rotary embedding. */
  boolean grouped() {
    return config.transform() instanceof KvTransform.PreRopeGrouped;
  }

  /** Whether keys are rotated head by head. */
  boolean rotatesHeads() {
    return config.transform() instanceof KvTransform.HeadHadamard || centers();
  }

  /** Whether the mean of the keys is taken off. */
  boolean centers() {
    return config.transform() instanceof KvTransform.CenteredHadamard;
  }

  /** Whether heads are stored in a dense basis. */
  boolean dense() {
    return config.transform() instanceof KvTransform.DensePair;
  }

  /** The transform as {@code page.h} numbers it. */
  int transformCode() {
    return dense() ? 4 : centers() ? 3 : grouped() ? 2 : rotatesHeads() ? 1 : 0;
  }

  /** Whether values are rotated head by head. */
  boolean rotatesValues() {
    return grouped() || rotatesHeads();
  }

  /** Bytes of a packed page. */
  public long packedBytes() {
    return key == null || value == null ? 0 : key.bytes() + value.bytes();
  }

  /** Bytes of so many tokens in 16 or 32 bits and so many quantized ones, without padding. */
  long storedBytes(long kept, long quantized) {
    long elements = 2L * config.kvHeads() * config.headDim();
    return kept * elements * config.dtype().bytes() + quantized * packedBytes() / PageLayout.TOKENS;
  }

  /** The window as the kernels take it: endless where nothing is quantized. */
  long window() {
    return quantizes() ? config.tokens().recentWindow() : Long.MAX_VALUE / 4;
  }

  long flush() {
    return quantizes() ? config.tokens().flush() : 1;
  }

  /** Up to where tokens have left the window once there are {@code length}. */
  long left(long length) {
    return quantizes() ? config.tokens().left(length) : 0;
  }

  /** Channels that a rotation of keys over heads mixes. */
  int rotation() {
    GroupedBasis rotation = config.keyBasis() == null ? null : config.keyBasis().rotation();
    return rotation == null ? 0 : rotation.size();
  }
}
