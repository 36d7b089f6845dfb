package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBytes;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.transform.Hadamard;

/**
 * What a {@link VlmCache} holds of one layer.
 *
 * @param kvHeads heads of keys and values, {@code >= 1}
 * @param headDim channels of a head: {@code 2^k} or {@code 12 2^k}, 8 to 256
 * @param dtype how the tokens lie that are not quantized: F32, BF16 or F16
 * @param policy bits by class
 * @param pattern where the layer looks
 * @param layer the layer, named in errors; {@code -1} if it has no number
 */
public record VlmCacheConfig(
    int kvHeads, int headDim, DType dtype, VlmPolicy policy, LayerPattern pattern, int layer) {
  private static final int EXACT_PAGE = 16;
  private static final int PACKED_PAGE = 64;

  /**
   * Checks the sizes.
   *
   * @throws IllegalArgumentException if they do not fit
   */
  public VlmCacheConfig {
    KvCacheConfig.exact(kvHeads, headDim, dtype);
    checkArgument(
        headDim % 8 == 0 && Hadamard.fits(headDim),
        "headDim: expected 2^k or 12 2^k channels, 8 to %s, got %s",
        KvCache.MAX_HEAD_DIM,
        headDim);
  }

  /** Tokens that are not quantized lie in F16. */
  public static VlmCacheConfig of(
      int kvHeads, int headDim, VlmPolicy policy, LayerPattern pattern, int layer) {
    return new VlmCacheConfig(kvHeads, headDim, DType.F16, policy, pattern, layer);
  }

  /** The same with another type for the tokens that are not quantized. */
  public VlmCacheConfig withDtype(DType newDtype) {
    return new VlmCacheConfig(kvHeads, headDim, newDtype, policy, pattern, layer);
  }

  /** The bits of the classes. */
  public BitBudget budget() {
    return policy.budget(pattern);
  }

  /** The most pivots of a prompt. */
  public int pivots() {
    return policy.pivots(pattern);
  }

  /** Elements of a token's key and value. */
  public int elements() {
    return 2 * kvHeads * headDim;
  }

  /** The configuration of a class's store, whose rows are rotated before they come. */
  KvCacheConfig store(TokenClass tokenClass) {
    int bits = budget().bits(tokenClass);
    return bits == 16
        ? KvCacheConfig.exact(kvHeads, headDim, dtype).withPageTokens(EXACT_PAGE)
        : KvCacheConfig.quantized(kvHeads, headDim, KvFormat.both(policy.quantizer(bits)));
  }

  /** Tokens of a page of a class's store. */
  int pageTokens(TokenClass tokenClass) {
    return budget().bits(tokenClass) == 16 ? EXACT_PAGE : PACKED_PAGE;
  }

  /** Bytes of a page of a class's store. */
  long pageBytes(TokenClass tokenClass) {
    PageBytes bytes = PageBytes.of(store(tokenClass));
    return bytes.packed() == 0 ? bytes.exact() : bytes.packed();
  }

  /** Bytes of scales and zero points that a token of a class has. */
  long metadataBytes(TokenClass tokenClass) {
    int bits = budget().bits(tokenClass);
    return bits == 16
        ? 0
        : 2L
            * kvHeads
            * policy.quantizer(bits).groups(headDim)
            * policy.quantizer(bits).metadataBytes();
  }
}
