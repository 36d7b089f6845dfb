package io.github.lightning4j.vlmquant;

import static io.github.lightning4j.vlmquant.TokenClass.PIVOT;
import static io.github.lightning4j.vlmquant.TokenClass.RECENT;
import static io.github.lightning4j.vlmquant.TokenClass.TEXT;
import static io.github.lightning4j.vlmquant.TokenClass.VISUAL;
import static io.github.lightning4j.vlmquant.VlmScene.contents;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.Map;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Which token has which bits when, and what that takes. */
final class VlmCacheTest {
  private static Map<TokenClass, Long> counts(VlmCache cache) {
    Map<TokenClass, Long> counts = new EnumMap<>(TokenClass.class);
    cache.account().classes().forEach((key, share) -> counts.put(key, share.tokens()));
    return counts;
  }

  /** The table of classes; a pivot among the recent tokens, or that is text, counts once. */
  @ParameterizedTest
  @EnumSource(LayerPattern.class)
  void everyTokenHasTheFirstClassThatApplies(LayerPattern pattern) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, 128), 500, 1)) {
      boolean hasPivots = pattern == LayerPattern.PIVOT_SALIENT;
      long[] pivots = hasPivots ? new long[] {0, 3, 110, 400, 499} : new long[0];
      VlmCache cache = scene.cache();
      cache.beginPrompt();
      scene.append(cache, 0, 500);
      assertThat(counts(cache)).containsEntry(RECENT, 500L).containsEntry(PIVOT, 0L);
      cache.endPrompt(pivots);
      long[] counted = new long[4];
      for (int t = 0; t < 500; t++) {
        int token = t;
        TokenClass expected =
            t >= 372
                ? RECENT
                : Arrays.stream(pivots).anyMatch(p -> p == token) ? PIVOT : scene.classes[t];
        assertThat(cache.tokenClass(t)).as("token %s", t).isEqualTo(expected);
        counted[expected.ordinal()]++;
      }
      assertThat(counts(cache))
          .containsExactlyInAnyOrderEntriesOf(
              Map.of(RECENT, counted[0], PIVOT, counted[1], TEXT, counted[2], VISUAL, counted[3]));
      assertThat(counted[PIVOT.ordinal()]).isEqualTo(hasPivots ? 3 : 0);
    }
  }

  /** 2 + 14 n16 / T + 2 n4 / T, with the metadata of a byte each for scale and zero point. */
  @ParameterizedTest
  @CsvSource({
    "PIVOT_SALIENT, 4096, 2.489, 2.609406",
    "PIVOT_SALIENT, 500, 6.00, 6.09325",
    "TEXT_SALIENT, 4096, 3.192, 3.313965"
  })
  void bitsAreThoseOfTheFormula(LayerPattern pattern, int length, double payload, double total) {
    try (VlmScene scene = new VlmScene(VlmScene.config(128, pattern, 128), length, 2)) {
      VlmCache cache = scene.cache();
      cache.beginPrompt();
      scene.append(cache, 0, length);
      cache.endPrompt(LongStream.range(0, cache.config().pivots()).map(i -> 7 * i).toArray());
      VlmAccount account = cache.account();
      long n16 = pattern == LayerPattern.PIVOT_SALIENT ? 143 : 128;
      long n4 = pattern == LayerPattern.PIVOT_SALIENT ? 0 : account.classes().get(TEXT).tokens();
      double formula = 2 + 14.0 * n16 / length + 2.0 * n4 / length;
      assertThat(account.payloadBits()).isEqualTo(formula);
      assertThat(Math.abs(account.payloadBits() - payload)).isLessThan(0.005);
      double metadata = 16.0 / 128 * (length - n16) / length;
      assertThat(Math.abs(account.averageBits() - (formula + metadata))).isLessThan(1e-12);
      assertThat(Math.abs(account.averageBits() - total)).isLessThan(1e-6);
      assertThat(account.tokens()).isEqualTo(length);
    }
  }

  /** The account against the pages: every store has whole pages of what it says a token takes. */
  @ParameterizedTest
  @EnumSource(LayerPattern.class)
  void pagesTakeWhatTheAccountSays(LayerPattern pattern) {
    try (VlmScene scene = new VlmScene(VlmScene.config(128, pattern, 128), 1000, 3)) {
      VlmCache cache = scene.cache();
      cache.beginPrompt();
      scene.append(cache, 0, 960);
      cache.endPrompt(scene.pivots);
      for (int t = 960; t < 1000; t++) {
        scene.append(cache, t, 1);
        VlmAccount account = cache.account();
        long expected = 0;
        for (TokenClass tokenClass : TokenClass.values()) {
          VlmAccount.Share share = account.classes().get(tokenClass);
          long tokenBytes = share.bits() * (long) account.elements() / 8 + share.metadataBytes();
          // recent ones start within a page, and the one that left is there for the newest query
          long page = share.bits() == 16 ? 16 : 64;
          long whole = (share.tokens() + page - 1) / page * page;
          long slots = tokenClass == RECENT ? slots(t + 1) : whole;
          expected += slots * tokenBytes;
        }
        assertThat(cache.bytes()).as("at %s", t).isEqualTo(expected);
        assertThat(account.pageBytes()).isEqualTo(expected);
      }
    }
  }

  /** Slots of the pages that hold the window of 128 as the query of the last of T tokens saw it. */
  private static long slots(int length) {
    long first = (960 - 128) / 16 * 16; // where the prompt's end cut its pages, a multiple of 16
    long start = (length - 128 - first) / 16 * 16;
    return (length - first - start + 15) / 16 * 16;
  }

  /** What has left the window keeps its bits, whatever comes later and however it is cut. */
  @ParameterizedTest
  @CsvSource({"TEXT_SALIENT, 40", "PIVOT_SALIENT, 40", "TEXT_SALIENT, 0"})
  void eachTokenIsQuantizedOnceUnderAnyChunking(LayerPattern pattern, int window) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, window), 400, 4)) {
      VlmCache whole = scene.cache();
      scene.append(whole, 0, 400);
      float[] expected = contents(whole);
      VlmCache pieces = scene.cache();
      float[] before = {};
      int at = 0;
      for (int count : new int[] {1, 39, 1, 63, 100, 128, 1, 67}) {
        scene.append(pieces, at, count);
        at += count;
        float[] now = contents(pieces);
        int settled = Math.max(0, at - count - window) * 2 * 64;
        assertThat(Arrays.copyOf(now, settled)).isEqualTo(Arrays.copyOf(before, settled));
        before = now;
      }
      assertThat(before).isEqualTo(expected);
      assertThat(counts(pieces)).isEqualTo(counts(whole));
    }
  }

  @Test
  void decodingAddsNoPivots() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.PIVOT_SALIENT, 8);
    try (VlmScene scene = new VlmScene(config, 100, 5)) {
      VlmCache cache = scene.cache();
      cache.beginPrompt();
      scene.append(cache, 0, 50);
      cache.endPrompt(2, 49);
      assertThat(counts(cache)).containsEntry(PIVOT, 1L);
      scene.append(cache, 50, 50);
      assertThat(counts(cache)).containsEntry(PIVOT, 2L); // 49, once it is not recent any more
      assertThat(cache.tokenClass(49)).isEqualTo(PIVOT);
    }
  }

  @Test
  void pivotsOfALaterPromptAreAdded() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.PIVOT_SALIENT, 8);
    try (VlmScene scene = new VlmScene(config, 100, 6)) {
      VlmCache cache = scene.cache();
      cache.beginPrompt();
      scene.append(cache, 0, 50);
      cache.endPrompt(2);
      cache.beginPrompt();
      scene.append(cache, 50, 50);
      cache.endPrompt(2, 3, 60); // 2 is one, 3 is quantized already
      assertThat(counts(cache)).containsEntry(PIVOT, 2L).containsEntry(RECENT, 8L);
      assertThat(cache.tokenClass(3)).isEqualTo(TEXT);
      assertThat(cache.tokenClass(60)).isEqualTo(PIVOT);
    }
  }

  @Test
  void truncatingForgetsTokensOfEveryClass() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.PIVOT_SALIENT, 16);
    for (int length : new int[] {0, 1, 30, 89, 149, 150}) {
      try (VlmScene scene = new VlmScene(config, 150, 7)) {
        VlmCache cache = scene.cache();
        scene.append(cache, 0, 149);
        scene.append(cache, 149, 1); // lets go of exact tokens
        float[] all = contents(cache);
        cache.truncate(length);
        assertThat(cache.length()).isEqualTo(length);
        float[] kept = contents(cache);
        int half = kept.length / 2;
        assertThat(Arrays.copyOf(kept, half)).isEqualTo(Arrays.copyOf(all, half));
        scene.append(cache, length, 150 - length);
        assertThat(contents(cache)).as("from %s on", length).isEqualTo(all);
        assertThat(cache.account().tokens()).isEqualTo(150);
      }
    }
  }

  /** Whatever budget is too small: the cache is as it was, and takes the tokens later. */
  @Test
  void aBudgetWithoutRoomLeavesTheCacheAsItWas() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.TEXT_SALIENT, 16);
    int refused = 0;
    for (long pages = 1; pages < 14; pages++) {
      PageBudget budget = PageBudget.ofBytes(pages * 64 * 2 * 2 * 64 * 2);
      try (VlmScene scene = new VlmScene(config, 300, 8);
          VlmCache cache = VlmCache.create(config, budget)) {
        scene.append(cache, 0, 1);
        float[] before = contents(cache);
        try {
          scene.append(cache, 1, 299);
        } catch (PageBudgetException e) {
          refused++;
          assertThat(cache.length()).isEqualTo(1);
          assertThat(contents(cache)).isEqualTo(before);
          assertThat(counts(cache)).containsEntry(RECENT, 1L).containsEntry(TEXT, 0L);
          scene.append(cache, 1, 5);
          assertThat(cache.length()).isEqualTo(6);
        }
      }
    }
    assertThat(refused).isBetween(4, 12);
  }

  @Test
  void memoryStaysFlat() {
    VlmCacheConfig config = VlmScene.config(8, LayerPattern.PIVOT_SALIENT, 4);
    try (VlmScene scene = new VlmScene(config, 10, 9)) {
      FlatMemory.assertFlat(
          "caches",
          2000,
          () -> {
            try (VlmCache cache = VlmCache.create(config)) {
              scene.append(cache, 0, 9);
              try (VlmCache fork = cache.fork()) {
                scene.append(fork, 9, 1);
              }
            }
          });
    }
  }

  @Test
  void aClosedCacheSaysSo() {
    VlmCache cache = VlmCache.create(VlmScene.config(8, LayerPattern.TEXT_SALIENT, 4));
    cache.close();
    for (Runnable call :
        new Runnable[] {
          cache::length,
          cache::close,
          cache::fork,
          cache::account,
          cache::beginPrompt,
          cache::bytes,
          () -> cache.endPrompt(),
          () -> cache.truncate(0)
        }) {
      assertThatExceptionOfType(IllegalStateException.class)
          .isThrownBy(call::run)
          .withMessage("cache is closed");
    }
  }
}
