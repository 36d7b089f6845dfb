package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;

/** Which configurations the kernels of a GPU have. */
public final class CudaFormats {
  private CudaFormats() {}

  /**
   * Checks all of a configuration.
   *
   * @throws IllegalArgumentException if the kernels do not have it
   */
  public static void check(KvCacheConfig config) {
    checkArgument(
        config.dtype() == DType.BF16,
        "config: expected BF16 for tokens that are not quantized (withDtype), got %s",
        config.dtype());
    int dim = config.headDim();
    checkArgument(
        dim == 32 || dim == 64 || dim == 128,
        "config: expected heads of 32, 64 or 128 channels on a GPU, got %s",
        dim);
    checkArgument(
        config.pageTokens() == PageLayout.TOKENS,
        "config: expected pages of %s tokens on a GPU, got %s",
        PageLayout.TOKENS,
        config.pageTokens());
    checkArgument(
        config.format() == null || config.tokens().firstTokens() <= KvCache.MAX_SINKS,
        "tokens: expected at most %s first tokens, got %s",
        KvCache.MAX_SINKS,
        config.tokens().firstTokens());
    codec(CacheFormat.of(config));
  }

  /** What kernels are specialised by. */
  static CudaCodec codec(CacheFormat format) {
    return format.key() == null || format.value() == null
        ? CudaCodec.EXACT
        : CudaCodec.of(format.config(), format.key().quantizer(), format.value().quantizer());
  }
}
