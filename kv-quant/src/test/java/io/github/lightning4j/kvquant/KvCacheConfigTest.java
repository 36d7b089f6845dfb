package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.RandomPairs;
import java.util.List;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;

/** Parts of a configuration that do not fit are refused with what would. */
final class KvCacheConfigTest {
  private static final KvQuantizer TWO_BITS = QuantizedScene.affine(2, 64);

  private static void assertRefused(ThrowingCallable call, String message) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }

  @Test
  void headsThatFillNoBytes() {
    assertRefused(
        () -> QuantizedScene.plain(1, 20, TWO_BITS),
        "headDim: expected a multiple of 8 for a quantized cache, got 20");
  }

  @Test
  void headsThatNoTransformFits() {
    assertRefused(
        () -> QuantizedScene.rotated(1, 72, TWO_BITS),
        "headDim: expected 2^k from 8 or 12 2^k from 24 (any multiple of 8 for a dense pair) for"
            + " HeadHadamard[], got 72");
  }

  @Test
  void densePairsOfOtherHeads() {
    KvCacheConfig two = QuantizedScene.plain(2, 64, TWO_BITS);
    KvTransform transform = new KvTransform.DensePair();
    List<DensePair> pairs = List.of(RandomPairs.of(1, 64), RandomPairs.of(2, 64));
    assertRefused(
        () -> two.withTransform(transform, null),
        "keyPairs: expected one for each of 2 kv heads for DensePair, else none; got 0");
    assertRefused(
        () -> two.withTransform(transform, KeyBasis.dense(pairs, pairs.subList(0, 1))),
        "valuePairs: expected one for each of 2 kv heads for DensePair, else none; got 1");
    assertRefused(
        () -> two.withTransform(new KvTransform.Plain(), KeyBasis.dense(pairs, pairs)), "got 2");
    assertRefused(
        () ->
            QuantizedScene.plain(2, 32, TWO_BITS)
                .withTransform(transform, KeyBasis.dense(pairs, pairs)),
        "keyPairs: expected heads of 32 channels, got 64");
    assertThat(two.withTransform(transform, KeyBasis.dense(pairs, pairs)))
        .isEqualTo(two.withTransform(transform, KeyBasis.dense(List.copyOf(pairs), pairs)));
  }

  @Test
  void aBasisOfAnotherLayer() {
    KeyBasis basis = KeyBasis.grouped(GroupedBasis.of(4, 64, 4), new float[32]);
    KvTransform transform = new KvTransform.PreRopeGrouped(4, KvTransform.PermutationScope.LAYER);
    KvCacheConfig two = QuantizedScene.plain(2, 64, TWO_BITS);
    assertRefused(
        () -> two.withTransform(transform, basis),
        "keyBasis: expected one for 2 heads of 64, got 4 of 64");
    assertRefused(
        () -> two.withTransform(transform, null),
        "keyBasis: expected a rotation for PreRopeGrouped");
    assertRefused(() -> two.withTransform(new KvTransform.HeadHadamard(), basis), "else none");
    assertRefused(
        () ->
            two.withTransform(
                new KvTransform.CenteredHadamard(),
                KeyBasis.centered(new float[127], new float[32])),
        "mean: expected 128 channels, got 127");
    assertRefused(
        () ->
            two.withTransform(
                new KvTransform.CenteredHadamard(),
                KeyBasis.centered(new float[128], new float[33])),
        "inverseFrequencies: expected at most 32, got 33");
  }

  @Test
  void keysGroupedByChannel() {
    assertRefused(
        () -> KvCacheConfig.of(KvPresets.of("kivi-2"), 0, 1, 2, 64, null),
        "policy: expected groups along the channels of a token, got kivi-2");
  }

  @Test
  void moreFirstTokensThanAPageHolds() {
    KvCacheConfig config =
        QuantizedScene.plain(1, 64, TWO_BITS).withTokens(TokenPolicy.NONE.withFirstTokens(65));
    assertRefused(() -> KvCache.create(config), "tokens: expected at most 64 first tokens, got 65");
  }

  @Test
  void presetsBecomeConfigurations() {
    KvCacheConfig config = KvCacheConfig.of(KvPresets.of("quarot-2"), 3, 8, 2, 128, null);
    assertThat(config.dtype()).isEqualTo(DType.F16);
    assertThat(config.layer()).isEqualTo(3);
    try (KvCache cache = KvCache.create(config)) {
      assertThat(cache.config()).isEqualTo(config);
      assertThat(cache.bytesPerToken()).isZero();
    }
  }
}
