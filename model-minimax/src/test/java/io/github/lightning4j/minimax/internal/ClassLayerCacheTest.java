package io.github.lightning4j.minimax.internal;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.vlmquant.LayerPattern;
import io.github.lightning4j.vlmquant.TokenClass;
import io.github.lightning4j.vlmquant.VlmCache;
import io.github.lightning4j.vlmquant.VlmCacheConfig;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.util.stream.LongStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which tokens a layer keeps as pivots, by what it saw. */
final class ClassLayerCacheTest {
  private static final int TOKENS = 200;
  private static final int WIDTH = 2600;
  private static final int WINDOW = 16;

  /** Ascending; the last is recent at the end of the prompt. */
  private static final long[] PLANTED = {
    0, 3, 17, 40, 63, 64, 65, 99, 110, 127, 128, 150, 170, 180, 195
  };

  private static ClassLayerCache cache(MemoryScope scope, LayerPattern pattern, int layer) {
    VlmPolicy policy = VlmPolicy.preset("akvq-2").withRecentWindow(WINDOW);
    return new ClassLayerCache(
        scope.add(VlmCache.create(VlmCacheConfig.of(1, 64, policy, pattern, layer))));
  }

  /**
   * The 15 pivots of a prompt are the tokens with the greatest magnitudes, in each layer its own.
   */
  @ParameterizedTest
  @CsvSource({"0, 200, false", "1, 64, false", "2, 7, false", "3, 200, true"})
  void pivotsAreTheTokensWithMassiveActivations(int layer, int chunk, boolean asQuantized) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor hidden = scope.add(Cases.normal(layer, DType.F32, TOKENS + 30, WIDTH));
      long[] planted = LongStream.of(PLANTED).map(token -> (token + layer) % TOKENS).toArray();
      for (long token : planted) {
        hidden.accessor().set(token * WIDTH + 1415, 50 + token);
        hidden.accessor().set(token * WIDTH + 2533, -40);
      }
      hidden.accessor().set((TOKENS + 5L) * WIDTH + 1415, 9000); // not of the prompt
      Tensor rows = scope.add(Cases.normal(9, DType.F32, TOKENS + 30, 1, 64));
      ClassLayerCache cache = cache(scope, LayerPattern.PIVOT_SALIENT, layer);
      cache.beginPrompt(asQuantized);
      for (int from = 0; from < TOKENS; from += chunk) {
        read(cache, hidden, rows, from, Math.min(chunk, TOKENS - from));
      }
      cache.endPrompt();
      for (int t = TOKENS; t < TOKENS + 30; t++) {
        read(cache, hidden, rows, t, 1);
      }
      assertThat(pivots(cache.cache())).containsExactly(LongStream.of(planted).sorted().toArray());
    }
  }

  private static void read(ClassLayerCache cache, Tensor hidden, Tensor rows, int from, int count) {
    cache.see(hidden.narrow(0, from, count));
    try (Tensor out = Tensor.allocate(DType.F32, count, 1, 64)) {
      Tensor part = rows.narrow(0, from, count);
      cache.attend(
          Operators.of(Backend.REFERENCE),
          new LayerCache.Step(part, part, part, null, 0.125f, out));
    }
  }

  private static long[] pivots(VlmCache cache) {
    return LongStream.range(0, cache.length())
        .filter(token -> cache.tokenClass(token) == TokenClass.PIVOT)
        .toArray();
  }

  @ParameterizedTest
  @CsvSource({"false", "true"})
  void layersThatLookAtTextHaveNone(boolean asQuantized) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor hidden = scope.add(Cases.normal(1, DType.F32, TOKENS, 8));
      Tensor rows = scope.add(Cases.normal(9, DType.F32, TOKENS, 1, 64));
      ClassLayerCache cache = cache(scope, LayerPattern.TEXT_SALIENT, 0);
      cache.beginPrompt(asQuantized);
      read(cache, hidden, rows, 0, TOKENS);
      cache.endPrompt();
      assertThat(pivots(cache.cache())).isEmpty();
    }
  }
}
