package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.internal.PageLayout;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.Hadamard;
import io.github.lightning4j.kvquant.transform.KvTransform;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a {@link KvCache} holds of one layer, and in which formats.
 *
 * @param kvHeads heads of keys and values, {@code >= 1}
 * @param headDim channels of a head, 1 to {@value KvCache#MAX_HEAD_DIM}; quantized, a multiple of 8
 * @param dtype how the tokens lie that are not quantized: F32, BF16 or F16
 * @param format how the others are quantized, null for none
 * @param transform the basis in which they are
 * @param tokens which tokens stay in {@code dtype}
 * @param keyBasis for keys stored before the rotary embedding, centred, or in a dense basis; else
 *     null
 * @param layer the layer, named in errors; {@code -1} if it has no number
 * @param pageTokens tokens of a page: 64; or 16, for a cache that quantizes nothing and is one of
 *     many short ones, at some more calls a token
 */
public record KvCacheConfig(
    int kvHeads,
    int headDim,
    DType dtype,
    @Nullable KvFormat format,
    KvTransform transform,
    TokenPolicy tokens,
    @Nullable KeyBasis keyBasis,
    int layer,
    int pageTokens) {

  /**
   * What calibration found of a layer's keys, and the rotary embedding; for a dense basis also of
   * its values.
   *
   * @param rotation for keys stored before the rotary embedding: over which heads, and the order of
   *     channels; else null
   * @param mean for centred keys: of each channel before the rotary embedding {@code [kvHeads *
   *     headDim]}; else null
   * @param inverseFrequencies of the rotary embedding: channels j and j + R/2 of a head turn by
   *     {@code position * inverseFrequencies[j]}, {@code j < R/2}; R is {@code headDim} at most
   * @param keyPairs for a dense basis: the matrices of the keys after the rotary embedding, one a
   *     kv head; else empty
   * @param valuePairs those of the values
   */
  public record KeyBasis(
      @Nullable GroupedBasis rotation,
      float @Nullable [] mean,
      float[] inverseFrequencies,
      List<DensePair> keyPairs,
      List<DensePair> valuePairs) {
    /** Keeps copies of the lists. */
    public KeyBasis {
      keyPairs = List.copyOf(keyPairs);
      valuePairs = List.copyOf(valuePairs);
    }

    /** A basis without dense pairs. */
    public KeyBasis(
        @Nullable GroupedBasis rotation, float @Nullable [] mean, float[] inverseFrequencies) {
      this(rotation, mean, inverseFrequencies, List.of(), List.of());
    }

    /** For {@link KvTransform.PreRopeGrouped}. */
    public static KeyBasis grouped(GroupedBasis rotation, float[] inverseFrequencies) {
      return new KeyBasis(rotation, null, inverseFrequencies);
    }

    /** For {@link KvTransform.CenteredHadamard}. */
    public static KeyBasis centered(float[] mean, float[] inverseFrequencies) {
      return new KeyBasis(null, mean, inverseFrequencies);
    }

    /** For {@link KvTransform.DensePair}. */
    public static KeyBasis dense(List<DensePair> keyPairs, List<DensePair> valuePairs) {
      return new KeyBasis(null, null, new float[0], keyPairs, valuePairs);
    }

    /** Two bases are equal if their contents are. */
    @Override
    public boolean equals(@Nullable Object other) {
      return other instanceof KeyBasis that
          && Objects.equals(rotation, that.rotation)
          && Arrays.equals(mean, that.mean)
          && Arrays.equals(inverseFrequencies, that.inverseFrequencies)
          && keyPairs.equals(that.keyPairs)
          && valuePairs.equals(that.valuePairs);
    }

    @Override
    public int hashCode() {
      return 31 * (31 * Objects.hashCode(rotation) + Arrays.hashCode(mean))
          + Arrays.hashCode(inverseFrequencies)
          + 17 * keyPairs.hashCode()
          + 13 * valuePairs.hashCode();
    }
  }

  /** Pages of 64 tokens. */
  public KvCacheConfig(
      int kvHeads,
      int headDim,
      DType dtype,
      @Nullable KvFormat format,
      KvTransform transform,
      TokenPolicy tokens,
      @Nullable KeyBasis keyBasis,
      int layer) {
    this(kvHeads, headDim, dtype, format, transform, tokens, keyBasis, layer, PageLayout.TOKENS);
  }

  /**
   * Checks that the parts fit.
   *
   * @throws IllegalArgumentException if they do not; the message says what does
   */
  public KvCacheConfig {
    checkArgument(kvHeads >= 1, "kvHeads: expected >= 1, got %s", kvHeads);
    checkArgument(
        headDim >= 1 && headDim <= KvCache.MAX_HEAD_DIM,
        "headDim: expected 1 to %s, got %s",
        KvCache.MAX_HEAD_DIM,
        headDim);
    checkArgument(
        dtype == DType.F32 || dtype == DType.BF16 || dtype == DType.F16,
        "dtype: expected F32, BF16 or F16, got %s",
        dtype);
    checkArgument(
        format == null || headDim % 8 == 0,
        "headDim: expected a multiple of 8 for a quantized cache, got %s",
        headDim);
    checkArgument(
        transform instanceof KvTransform.Plain
            || headDim % 8 == 0
                && (transform instanceof KvTransform.DensePair || Hadamard.fits(headDim)),
        "headDim: expected 2^k from 8 or 12 2^k from 24 (any multiple of 8 for a dense pair) for %s,"
            + " got %s",
        transform,
        headDim);
    checkBasis(transform, keyBasis, kvHeads, headDim);
    checkArgument(
        pageTokens == PageLayout.TOKENS || pageTokens == PageLayout.FEW && format == null,
        "pageTokens: expected %s, or %s where nothing is quantized, got %s",
        PageLayout.TOKENS,
        PageLayout.FEW,
        pageTokens);
  }

  private static void checkBasis(
      KvTransform transform, @Nullable KeyBasis basis, int kvHeads, int headDim) {
    GroupedBasis rotation = basis == null ? null : basis.rotation();
    float[] mean = basis == null ? null : basis.mean();
    checkArgument(
        (rotation != null) == (transform instanceof KvTransform.PreRopeGrouped)
            && (mean != null) == (transform instanceof KvTransform.CenteredHadamard),
        "keyBasis: expected a rotation for PreRopeGrouped, a mean for CenteredHadamard, else none;"
            + " got %s with %s",
        basis,
        transform);
    boolean dense = transform instanceof KvTransform.DensePair;
    checkPairs("keyPairs", basis == null ? List.of() : basis.keyPairs(), dense, kvHeads, headDim);
    checkPairs(
        "valuePairs", basis == null ? List.of() : basis.valuePairs(), dense, kvHeads, headDim);
    if (rotation != null) {
      checkArgument(
          rotation.kvHeads() == kvHeads && rotation.headDim() == headDim,
          "keyBasis: expected one for %s heads of %s, got %s of %s",
          kvHeads,
          headDim,
          rotation.kvHeads(),
          rotation.headDim());
    }
    checkArgument(
        mean == null || mean.length == kvHeads * headDim,
        "mean: expected %s channels, got %s",
        (long) kvHeads * headDim,
        mean == null ? 0 : mean.length);
    checkArgument(
        basis == null || 2 * basis.inverseFrequencies().length <= headDim,
        "inverseFrequencies: expected at most %s, got %s",
        headDim / 2,
        basis == null ? 0 : basis.inverseFrequencies().length);
  }

  private static void checkPairs(
      String name, List<DensePair> pairs, boolean dense, int kvHeads, int headDim) {
    checkArgument(
        pairs.size() == (dense ? kvHeads : 0),
        "%s: expected one for each of %s kv heads for DensePair, else none; got %s",
        name,
        kvHeads,
        pairs.size());
    for (DensePair pair : pairs) {
      checkArgument(
          pair.dim() == headDim,
          "%s: expected heads of %s channels, got %s",
          name,
          headDim,
          pair.dim());
    }
  }

  /** A cache that quantizes nothing. */
  public static KvCacheConfig exact(int kvHeads, int headDim, DType dtype) {
    return new KvCacheConfig(
        kvHeads, headDim, dtype, null, new KvTransform.Plain(), TokenPolicy.NONE, null, -1);
  }

  /** A cache of one format for all tokens, in the basis they come in. */
  public static KvCacheConfig quantized(int kvHeads, int headDim, KvFormat format) {
    return new KvCacheConfig(
        kvHeads,
        headDim,
        DType.F16,
        format,
        new KvTransform.Plain(),
        TokenPolicy.NONE.withQuantizedPrefill(true),
        null,
        -1);
  }

  /**
   * The cache of a layer under a policy.
   *
   * @param keyBasis what the layer's calibration found, for keys stored before the rotary
   *     embedding, centred, or in a dense basis
   * @throws IllegalArgumentException if the policy groups keys by channel, or does not fit
   */
  public static KvCacheConfig of(
      KvPolicy policy,
      int layer,
      int layers,
      int kvHeads,
      int headDim,
      @Nullable KeyBasis keyBasis) {
    checkArgument(
        policy.keyAxis() == KvPolicy.KeyAxis.TOKEN,
        "policy: expected groups along the channels of a token, got %s",
        policy.name());
    return new KvCacheConfig(
        kvHeads,
        headDim,
        DType.F16,
        policy.format(layer, layers),
        policy.transform(),
        policy.tokens(),
        keyBasis,
        layer);
  }

  /** The same with another type for the tokens that are not quantized. */
  public KvCacheConfig withDtype(DType newDtype) {
    return new KvCacheConfig(
        kvHeads, headDim, newDtype, format, transform, tokens, keyBasis, layer, pageTokens);
  }

  /** The same with pages of so many tokens. */
  public KvCacheConfig withPageTokens(int newTokens) {
    return new KvCacheConfig(
        kvHeads, headDim, dtype, format, transform, tokens, keyBasis, layer, newTokens);
  }

  /** The same in another basis. */
  public KvCacheConfig withTransform(KvTransform newTransform, @Nullable KeyBasis newBasis) {
    return new KvCacheConfig(
        kvHeads, headDim, dtype, format, newTransform, tokens, newBasis, layer, pageTokens);
  }

  /** The same with other tokens kept. */
  public KvCacheConfig withTokens(TokenPolicy newTokens) {
    return new KvCacheConfig(
        kvHeads, headDim, dtype, format, transform, newTokens, keyBasis, layer, pageTokens);
  }
}
