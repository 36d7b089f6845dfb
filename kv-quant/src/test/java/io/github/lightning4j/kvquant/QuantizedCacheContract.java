package io.github.lightning4j.kvquant;

import static io.github.lightning4j.kvquant.CacheContents.contents;
import static io.github.lightning4j.kvquant.QuantizedScene.AT_ONCE;
import static io.github.lightning4j.kvquant.QuantizedScene.LLOYD_MAX;
import static io.github.lightning4j.kvquant.QuantizedScene.affine;
import static io.github.lightning4j.kvquant.QuantizedScene.grouped;
import static io.github.lightning4j.kvquant.QuantizedScene.rotated;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;
import io.github.lightning4j.kvquant.transform.KvTransform;
import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a {@link KvCache} that quantizes must do, whichever kernels fill its pages. */
abstract class QuantizedCacheContract {
  private static final TokenPolicy WINDOW = AT_ONCE.withFirstTokens(3).withRecentWindow(70, 1);

  private long liveBefore;

  abstract Backend backend();

  static Iterable<KvCacheConfig> formats() {
    return QuantizedScene.formats();
  }

  @BeforeEach
  void rememberMemory() {
    liveBefore = Memory.liveBytes();
  }

  @AfterEach
  void everythingWasFreed() {
    assertThat(Memory.liveBytes()).isEqualTo(liveBefore);
  }

  @ParameterizedTest
  @MethodSource("formats")
  void holdsTheCodesOfTheReference(KvCacheConfig config) {
    for (int length : new int[] {1, 63, 64, 65, 130}) {
      try (QuantizedScene scene = new QuantizedScene(config, length, 1)) {
        float[] expected = contents(scene.filled(Backend.REFERENCE));
        assertThat(contents(scene.filled(backend()))).isEqualTo(expected);
      }
    }
  }

  @Test
  void takesTheBytesOfTheSpecification() {
    // LLaMA-3-8B: 17408 bytes a token in 32 layers at 2.125 bits; 2.0625 bits without zero points.
    assertBytes(grouped(8, 128, 4, affine(2, 128)), 17408 / 32.0);
    assertBytes(rotated(8, 128, LLOYD_MAX), 2.0625 * 2048 / 8);
    assertBytes(rotated(8, 128, affine(3, 128)), 3.125 * 2048 / 8);
    assertBytes(QuantizedScene.plain(8, 128, QuantizedScene.wide(8, 128)), 8.25 * 2048 / 8);
  }

  private void assertBytes(KvCacheConfig config, double bytesPerToken) {
    try (QuantizedScene scene = new QuantizedScene(config, 128, 1)) {
      long before = Memory.liveBytes();
      KvCache cache = scene.cache(backend());
      long empty = Memory.liveBytes() - before;
      scene.append(cache, 0, 128);
      assertThat(cache.bytesPerToken()).isEqualTo(bytesPerToken);
      assertThat(cache.bytes()).isEqualTo((long) (128 * bytesPerToken));
      assertThat(cache.storedBytes()).isEqualTo(cache.bytes());
      assertThat(Memory.liveBytes() - before - empty).isEqualTo(cache.bytes());
    }
  }

  @Test
  void tellsTheBytesOfTokensWithoutSlotsThatWait() {
    KvCacheConfig config =
        rotated(2, 64, affine(3, 64)).withTokens(TokenPolicy.NONE.withRecentWindow(70, 1));
    try (QuantizedScene scene = new QuantizedScene(config, 300, 2)) {
      KvCache cache = scene.cache(backend());
      cache.beginPrompt();
      scene.append(cache, 0, 290);
      assertThat(cache.storedBytes()).isEqualTo(290 * 512);
      cache.endPrompt(3, 100, 289); // the last is recent, too
      scene.append(cache, 290, 10);
      // 70 recent and two sinks as they came; 228 in 3.25 bits: a byte each for scale and zero.
      assertThat(cache.storedBytes()).isEqualTo(72 * 512 + 228 * 256 * 13 / 32);
    }
  }

  @Test
  void tokensLeaveTheWindowOnceHoweverTheyWereCut() {
    for (int flush : new int[] {1, 32}) {
      KvCacheConfig config =
          rotated(2, 64, affine(3, 64)).withTokens(WINDOW.withRecentWindow(70, flush));
      try (QuantizedScene scene = new QuantizedScene(config, 300, 2)) {
        KvCache tokenwise = scene.cache(backend());
        for (int t = 0; t < 300; t++) {
          scene.append(tokenwise, t, 1);
        }
        KvCache pieces = scene.cache(backend());
        long at = 0;
        for (long count : new long[] {0, 1, 62, 1, 1, 63, 0, 65, 106, 1}) {
          scene.append(pieces, at, count);
          at += count;
        }
        assertThat(contents(pieces)).isEqualTo(contents(tokenwise));
        KvCache prompt = scene.cache(backend());
        prompt.beginPrompt();
        scene.append(prompt, 0, 299);
        prompt.endPrompt();
        scene.append(prompt, 299, 1);
        assertThat(contents(prompt)).isEqualTo(contents(tokenwise));
      }
    }
  }

  @Test
  void keepsSinksAndTheWindowAsTheyCame() {
    KvCacheConfig config =
        QuantizedScene.plain(1, 64, affine(2, 64)).withDtype(DType.F32).withTokens(WINDOW);
    try (QuantizedScene scene = new QuantizedScene(config, 300, 1)) {
      KvCache cache = scene.cache(backend());
      cache.beginPrompt();
      scene.append(cache, 0, 300);
      cache.endPrompt(110, 5, 110, 299);
      float[] keys = Arrays.copyOf(contents(cache), 300 * 64);
      float[] exact = scene.k.toFloats();
      for (int t = 0; t < 300; t++) {
        float[] row = Arrays.copyOfRange(keys, t * 64, (t + 1) * 64);
        float[] came = Arrays.copyOfRange(exact, t * 64, (t + 1) * 64);
        boolean kept = t < 3 || t == 5 || t == 110 || t >= 230;
        assertThat(Arrays.equals(row, came)).as("token %s", t).isEqualTo(kept);
      }
    }
  }

  /** T10: sinks are found in the prompt alone; a decoded token is quantized at once. */
  @Test
  void decodingAddsNoSinks() {
    KvCacheConfig config =
        QuantizedScene.plain(1, 64, affine(2, 64))
            .withDtype(DType.F32)
            .withTokens(AT_ONCE.withMassiveActivations(20));
    try (QuantizedScene scene = new QuantizedScene(config, 100, 1)) {
      KvCache cache = scene.cache(backend());
      cache.beginPrompt();
      scene.append(cache, 0, 30);
      cache.endPrompt(4);
      float[] exact = scene.k.toFloats();
      for (int t = 30; t < 100; t++) {
        scene.append(cache, t, 1);
        float[] keys = contents(cache);
        for (int s = 0; s <= t; s++) {
          float[] row = Arrays.copyOfRange(keys, s * 64, (s + 1) * 64);
          float[] came = Arrays.copyOfRange(exact, s * 64, (s + 1) * 64);
          assertThat(Arrays.equals(row, came)).as("token %s of %s", s, t).isEqualTo(s == 4);
        }
      }
    }
  }

  @Test
  void cachesOfOneBasisShareItsMatrices() {
    KvCacheConfig config = QuantizedScene.dense(2, 128, affine(2, 128));
    KvCache first = KvCache.create(config, PageBudget.unlimited(), backend());
    long one = Memory.liveBytes();
    KvCache second = KvCache.create(config, PageBudget.unlimited(), backend());
    assertThat(Memory.liveBytes() - one).isLessThan(4 * 2 * 128 * 128 * 4);
    first.close();
    try (QuantizedScene scene = new QuantizedScene(config, 70, 1)) {
      float[] expected = contents(scene.filled(backend()));
      second.append(scene.k, scene.v);
      assertThat(contents(second)).isEqualTo(expected);
    }
    second.close();
  }

  @Test
  void forksTruncatesAndGoesOn() {
    KvCacheConfig config = rotated(1, 64, affine(2, 64)).withTokens(WINDOW);
    try (QuantizedScene scene = new QuantizedScene(config, 300, 1)) {
      KvCache cache = scene.cache(backend());
      scene.append(cache, 0, 200);
      KvCache fork = scene.scope.add(cache.fork());
      float[] before = contents(cache);
      scene.append(fork, 200, 100);
      assertThat(contents(cache)).isEqualTo(before);
      scene.append(cache, 200, 100);
      assertThat(contents(cache)).isEqualTo(contents(fork));
      for (int kept : new int[] {299, 230, 229, 192, 65, 2, 0}) {
        fork.truncate(kept);
        float[] whole = contents(cache);
        float[] part = contents(fork);
        int half = kept * 64;
        // What had left the window stays as it was quantized; the keys, then the values.
        assertThat(Arrays.copyOf(part, half)).isEqualTo(Arrays.copyOf(whole, half));
      }
      scene.append(fork, 0, 200);
      assertThat(contents(fork)).isEqualTo(before);
    }
  }

  @Test
  void anExhaustedBudgetLeavesTheCacheIntact() {
    KvCacheConfig config = rotated(1, 128, LLOYD_MAX).withTokens(WINDOW);
    PageBudget budget = PageBudget.ofBytes(300_000);
    try (QuantizedScene scene = new QuantizedScene(config, 6000, 1);
        KvCache cache = KvCache.create(config, budget, backend())) {
      scene.append(cache, 0, 150);
      KvCache fork = scene.scope.add(cache.fork());
      float[] before = contents(cache);
      long used = budget.used();
      assertThatThrownBy(() -> scene.append(cache, 150, 5850))
          .isInstanceOf(PageBudgetException.class)
          .hasMessageContaining("page budget: ")
          .hasMessageContaining("of 300000 used");
      assertThat(cache.length()).isEqualTo(150);
      assertThat(contents(cache)).isEqualTo(before);
      assertThat(budget.used()).isBetween(used, used + 70_000); // pages that were shared, copied
      scene.append(cache, 150, 50);
      scene.append(fork, 150, 50);
      assertThat(contents(cache)).isEqualTo(contents(fork));
    }
    assertThat(budget.used()).isZero();
  }

  @Test
  void refusesWhatHasNoScaleAndNamesIt() {
    KvCacheConfig config =
        new KvCacheConfig(
            2,
            64,
            DType.F16,
            KvFormat.both(affine(2, 64)),
            new KvTransform.HeadHadamard(),
            WINDOW,
            null,
            5);
    try (QuantizedScene scene = new QuantizedScene(config, 90, 1)) {
      KvCache cache = scene.cache(backend());
      scene.append(cache, 0, 80);
      float[] before = contents(cache);
      scene.v.accessor().set((85 * 2 + 1) * 64 + 7, Double.NaN);
      assertThatThrownBy(() -> scene.append(cache, 80, 10))
          .isInstanceOf(NonFiniteInputException.class)
          .hasMessage(
              "value, layer 5, head 1, token 85, channel 7: expected a finite number, got NaN");
      scene.k.accessor().set(80 * 2 * 64, Double.NEGATIVE_INFINITY);
      assertThatThrownBy(() -> scene.append(cache, 80, 10))
          .isInstanceOf(NonFiniteInputException.class)
          .hasMessageStartingWith("key, layer 5, head 0, token 80, channel 0");
      assertThat(contents(cache)).isEqualTo(before);
    }
  }

  @Test
  void promptsBeginAndEndOnce() {
    try (QuantizedScene scene = new QuantizedScene(rotated(1, 64, affine(2, 64)), 80, 1)) {
      KvCache cache = scene.cache(backend());
      assertThatThrownBy(cache::endPrompt).hasMessage("no prompt has begun");
      cache.beginPrompt();
      assertThatThrownBy(cache::beginPrompt).hasMessage("a prompt has begun already; end it first");
      scene.append(cache, 0, 80);
      assertThatThrownBy(() -> cache.endPrompt(80))
          .hasMessage("sinks: expected 0 <= token < 80, got 80");
      long[] many = new long[65];
      Arrays.setAll(many, i -> i);
      assertThatThrownBy(() -> cache.endPrompt(many))
          .hasMessage("sinks: expected at most 64, got 65 beside 0");
      cache.endPrompt(1, 2);
      assertThat(cache.length()).isEqualTo(80);
    }
  }
}
