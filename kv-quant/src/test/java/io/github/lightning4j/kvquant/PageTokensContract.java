package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Pages of 16 tokens hold what pages of 64 do, and packing at once what waiting does. */
abstract class PageTokensContract {
  private static final int HEADS = 6;
  private static final int KV_HEADS = 2;
  private static final int DIM = 40;
  private static final int PAGE_BYTES = 2 * KV_HEADS * 16 * 48 * 2; // rows padded to 48, F16

  abstract Backend backend();

  private KvCache cache(MemoryScope scope, DType type, int tokens) {
    KvCacheConfig config = KvCacheConfig.exact(KV_HEADS, DIM, type).withPageTokens(tokens);
    return scope.add(KvCache.create(config, PageBudget.unlimited(), backend()));
  }

  private float[] attend(KvCache cache, Tensor q) {
    try (Tensor out = Tensor.allocate(DType.F32, q.shape())) {
      CacheAttention.of(backend()).attend(q, cache, 0.2f, out);
      return out.toFloats();
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void giveTheSameBits(DType type) {
    for (int length : Cases.AWKWARD) {
      try (MemoryScope scope = new MemoryScope()) {
        Tensor q = scope.add(Cases.normal(length, DType.F32, length, HEADS, DIM));
        Tensor k = scope.add(Cases.normal(length + 1, DType.F32, length, KV_HEADS, DIM));
        Tensor v = scope.add(Cases.normal(length + 2, DType.F32, length, KV_HEADS, DIM));
        KvCache large = cache(scope, type, 64);
        KvCache small = cache(scope, type, 16);
        large.append(k, v);
        int first = length / 3;
        small.append(k.narrow(0, 0, first), v.narrow(0, 0, first));
        KvCache fork = scope.add(small.fork()); // shares the page that is not full
        small.append(k.narrow(0, first, length - first), v.narrow(0, first, length - first));
        assertThat(attend(small, q)).as("%s tokens", length).isEqualTo(attend(large, q));
        assertThat(fork.length()).isEqualTo(first);
        small.truncate(first);
        assertThat(attend(small, q.narrow(0, 0, first)))
            .isEqualTo(attend(fork, q.narrow(0, 0, first)));
      }
    }
  }

  /** Queries read the last 70 tokens each, of a cache that has let go of those before. */
  @Test
  void partsAreTheSameBitsWhenFirstTokensAreGone() {
    int length = 300;
    int queries = 20;
    try (MemoryScope scope = new MemoryScope()) {
      Tensor q = scope.add(Cases.normal(3, DType.F32, queries, HEADS, DIM));
      Tensor kv = scope.add(Cases.normal(4, DType.F32, length, KV_HEADS, DIM));
      float[][] results = new float[2][];
      for (int i = 0; i < 2; i++) {
        KvCache cache = cache(scope, DType.F16, i == 0 ? 64 : 16);
        cache.append(kv, kv);
        long moved = i == 0 ? 0 : cache.dropFirst(length - queries - 69);
        assertThat(moved).isEqualTo(i == 0 ? 0 : 192);
        Tensor from = scope.allocate(DType.I64, queries);
        Tensor to = scope.allocate(DType.I64, queries);
        for (int t = 0; t < queries; t++) {
          to.accessor().setLong(t, length - queries + t + 1 - moved);
          from.accessor().setLong(t, length - queries + t - 69 - moved);
        }
        Tensor out = scope.allocate(DType.F32, q.shape());
        Tensor sums = scope.allocate(DType.F32, queries, HEADS);
        Elements sum = sums.accessor();
        IntStream.range(0, queries * HEADS).forEach(at -> sum.set(at, Double.NEGATIVE_INFINITY));
        CacheAttention.of(backend()).attendPart(q, cache, from, to, 0.2f, out, sums);
        results[i] = out.toFloats();
      }
      assertThat(results[1]).isEqualTo(results[0]);
    }
  }

  @Test
  void tokensThatAreGoneAreRefused() {
    try (MemoryScope scope = new MemoryScope()) {
      KvCache cache = cache(scope, DType.F16, 16);
      Tensor kv = scope.add(Cases.normal(1, DType.F32, 100, KV_HEADS, DIM));
      cache.append(kv, kv);
      assertThat(cache.bytes()).isEqualTo(7 * PAGE_BYTES);
      assertThat(cache.dropFirst(50)).isZero();
      assertThat(cache.bytes()).isEqualTo(4 * PAGE_BYTES);
      assertThat(cache.length()).isEqualTo(100);
      Tensor out = scope.allocate(DType.F32, 2, KV_HEADS, DIM);
      assertThatIllegalArgumentException()
          .isThrownBy(() -> cache.read(47, out, out))
          .withMessageStartingWith("first: expected 48 to 98");
      cache.read(48, out, out);
      Tensor q = scope.add(Cases.normal(1, DType.F32, 1, HEADS, DIM));
      assertThatIllegalStateException()
          .isThrownBy(() -> attend(cache, q))
          .withMessageContaining("without the first 48");
      Tensor from = scope.allocate(DType.I64, 1);
      Tensor to = scope.add(Tensor.of(new long[] {100}, 1));
      assertThatIllegalArgumentException()
          .isThrownBy(
              () ->
                  CacheAttention.of(backend())
                      .attendPart(
                          q,
                          cache,
                          from,
                          to,
                          1,
                          scope.allocate(DType.F32, q.shape()),
                          scope.allocate(DType.F32, 1, HEADS)))
          .withMessageStartingWith("from[0]: expected 48 to 100");
      assertThat(cache.dropFirst(100)).isEqualTo(64);
      assertThat(cache.length()).isEqualTo(36);
      assertThat(cache.bytes()).isEqualTo(PAGE_BYTES);
    }
  }

  @Test
  void onlyExactCachesHaveSmallPages() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> KvCacheConfig.exact(1, 8, DType.F16).withPageTokens(32))
        .withMessageStartingWith("pageTokens: expected 64, or 16 where nothing is quantized");
    KvCacheConfig packed = QuantizedScene.plain(1, 128, QuantizedScene.affine(2, 128));
    assertThatIllegalArgumentException()
        .isThrownBy(() -> packed.withPageTokens(16))
        .withMessageStartingWith("pageTokens: expected 64");
  }

  /** A prompt waits in exact pages until it ends; the same codes come of it. */
  @Test
  void whatIsPackedAtOnceIsWhatIsPackedLater() {
    for (KvCacheConfig config : QuantizedScene.formats()) {
      try (QuantizedScene scene = new QuantizedScene(config, 200, 2)) {
        KvCache once = scene.cache(backend());
        KvCache later = scene.cache(backend());
        later.beginPrompt();
        scene.append(later, 0, 200);
        later.endPrompt();
        later.trim();
        int at = 0;
        for (int count : new int[] {1, 62, 2, 64, 71}) {
          scene.append(once, at, count);
          at += count;
        }
        once.trim();
        assertThat(once.bytes()).isEqualTo(later.bytes());
        assertThat(scene.attend(backend(), once, 190))
            .as("%s", config)
            .isEqualTo(scene.attend(backend(), later, 190));
        assertThat(CacheContents.contents(once)).isEqualTo(CacheContents.contents(later));
      }
    }
  }

  @Test
  void whatIsPackedAtOnceTakesNoExactPage() {
    KvCacheConfig config = QuantizedScene.rotated(2, 128, QuantizedScene.affine(2, 128));
    try (QuantizedScene scene = new QuantizedScene(config, 70, 1)) {
      KvCache cache = scene.cache(backend());
      PageBytes page = PageBytes.of(config);
      scene.append(cache, 0, 64);
      assertThat(cache.bytes()).isEqualTo(page.packed());
      scene.append(cache, 64, 6);
      assertThat(cache.bytes()).isEqualTo(2 * page.packed());
      try (KvCache fork = cache.fork()) {
        fork.truncate(60);
        scene.append(fork, 60, 10);
        assertThat(CacheContents.contents(fork)).isEqualTo(CacheContents.contents(cache));
      }
    }
  }
}
