package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

final class PrefixCacheTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.builder().maxNewTokens(6).stopAtEos(false).build();
  private static final long PLENTY = 1L << 30;
  private static MiniMaxModel model;

  @BeforeAll
  static void load() {
    model = Nano.load();
  }

  @AfterAll
  static void close() {
    model.close();
  }

  private static int[] prompt(int seed, int length) {
    return IntStream.range(0, length).map(i -> (i + seed) * (43 + seed) % 2048).toArray();
  }

  /** The first of one prompt, then another. */
  private static int[] branch(int[] first, int length, int... then) {
    int[] ids = Arrays.copyOf(first, length + then.length);
    System.arraycopy(then, 0, ids, length, then.length);
    return ids;
  }

  /** Where a sequence begins, told by the first chunk that is read. */
  private static long reused(PrefixCache cache, int[] prompt, List<Integer> outIds) {
    List<Long> done = new ArrayList<>();
    GenerationListener listener =
        new GenerationListener() {
          @Override
          public void onPrefill(long read, long total) {
            done.add(read);
          }
        };
    Generator generator = new Generator(model).withPrefixCache(cache);
    outIds.addAll(generator.generate(prompt, OPTIONS, listener).ids());
    // Chunks end at multiples of 64, so the first one told began there or at the one before.
    return (done.get(0) - 1) / 64 * 64;
  }

  @Test
  void whatWasReadIsNotReadAgainAndGivesTheSameTokens() {
    int[] prompt = prompt(1, 300);
    List<Integer> cold = new ArrayList<>();
    List<Integer> warm = new ArrayList<>();
    try (PrefixCache cache = new PrefixCache(model, PLENTY, 64)) {
      assertThat(reused(cache, prompt, cold)).isZero();
      assertThat(cache.checkpoints()).isEqualTo(4);
      assertThat(reused(cache, prompt, warm)).isEqualTo(256);
      assertThat(cache.checkpoints()).isEqualTo(4);
      assertThat(warm)
          .isEqualTo(cold)
          .isEqualTo(new Generator(model).generate(prompt, OPTIONS, GenerationListener.NONE).ids());
    }
  }

  @Test
  void logitsAfterReuseAreTheSameBits() {
    int[] prompt = prompt(2, 200);
    int[] other = branch(prompt, 140, 7, 8, 9);
    try (PrefixCache cache = new PrefixCache(model, PLENTY, 64)) {
      reused(cache, prompt, new ArrayList<>());
      for (int[] ids : List.of(prompt, other)) {
        SequenceStart start = cache.begin(ids);
        assertThat(start.read()).isEqualTo(ids.length > 192 ? 192 : 128);
        try (Session warm = start.session();
            Session cold = model.newSession()) {
          for (int from = 0; from < ids.length; from += 64) {
            int[] chunk = Arrays.copyOfRange(ids, from, Math.min(ids.length, from + 64));
            cold.prefill(chunk);
            if (from >= start.read()) {
              warm.prefill(chunk);
            }
          }
          assertThat(warm.position()).isEqualTo(ids.length);
          assertThat(warm.logits()).isEqualTo(cold.logits());
          assertThat(warm.decode(3)).isEqualTo(cold.decode(3));
        }
      }
    }
  }

  @Test
  void atLeastOneTokenIsReadAndGeneratedOnesAreKeptToo() {
    int[] prompt = prompt(3, 126);
    List<Integer> ids = new ArrayList<>();
    try (PrefixCache cache = new PrefixCache(model, PLENTY, 64)) {
      reused(cache, prompt, ids);
      // Of 126 + 5 tokens read, 128 begin with the first two generated.
      assertThat(cache.checkpoints()).isEqualTo(2);
      int[] next = branch(prompt, 126, ids.get(0), ids.get(1));
      assertThat(reused(cache, next, new ArrayList<>())).isEqualTo(64);
      int[] after = branch(next, 128, 5);
      assertThat(reused(cache, after, new ArrayList<>())).isEqualTo(128);
      int[] another = branch(prompt, 126, ids.get(0), ids.get(1) ^ 1, 5);
      assertThat(reused(cache, another, new ArrayList<>())).isEqualTo(64);
      assertThat(cache.checkpoints()).isEqualTo(3);
    }
  }

  @Test
  void theLeastRecentlyUsedIsDroppedFirst() {
    long four;
    try (PrefixCache cache = new PrefixCache(model, PLENTY, 64)) {
      reused(cache, prompt(1, 130), new ArrayList<>());
      four = 2 * cache.bytes();
    }
    try (PrefixCache cache = new PrefixCache(model, four, 64)) {
      reused(cache, prompt(1, 130), new ArrayList<>());
      reused(cache, prompt(2, 130), new ArrayList<>());
      assertThat(cache.checkpoints()).isEqualTo(4);
      assertThat(cache.bytes()).isEqualTo(four);
      reused(cache, prompt(1, 70), new ArrayList<>());
      reused(cache, prompt(3, 70), new ArrayList<>());
      assertThat(cache.checkpoints()).isEqualTo(4);
      // Used last: 1 up to 64. The end of the first line went: it was not used since.
      assertThat(reused(cache, prompt(1, 70), new ArrayList<>())).isEqualTo(64);
      assertThat(reused(cache, prompt(2, 130), new ArrayList<>())).isEqualTo(128);
    }
    try (PrefixCache cache = new PrefixCache(model, four / 4 - 1, 64)) {
      reused(cache, prompt(1, 130), new ArrayList<>());
      assertThat(cache.checkpoints()).isZero();
      assertThat(cache.bytes()).isZero();
    }
  }

  @Test
  void aLineLongerThanTheCacheKeepsItsBeginning() {
    long one;
    try (PrefixCache cache = new PrefixCache(model, PLENTY, 64)) {
      reused(cache, prompt(1, 70), new ArrayList<>());
      one = cache.bytes();
    }
    try (PrefixCache cache = new PrefixCache(model, 3 * one, 64)) {
      reused(cache, prompt(1, 600), new ArrayList<>());
      assertThat(cache.checkpoints()).isEqualTo(3);
      assertThat(reused(cache, prompt(1, 600), new ArrayList<>())).isEqualTo(192);
    }
  }

  @Test
  void threadsShareItAndQueuesUseIt() throws Exception {
    ExecutorService threads = Executors.newFixedThreadPool(4);
    try (PrefixCache cache = new PrefixCache(model, 3_000_000, 64);
        GenerationQueue queue =
            new Generator(model).withPrefixCache(cache).queue(BatchLimits.DEFAULT)) {
      List<int[]> prompts = new ArrayList<>();
      for (int i = 0; i < 12; i++) {
        prompts.add(branch(prompt(i % 2, 150), 70 + 10 * (i % 4), i, i, i));
      }
      List<List<Integer>> expected = new ArrayList<>();
      for (int[] prompt : prompts) {
        expected.add(new Generator(model).generate(prompt, OPTIONS, GenerationListener.NONE).ids());
      }
      List<Future<List<Integer>>> own = new ArrayList<>();
      List<GenerationHandle> queued = new ArrayList<>();
      for (int[] prompt : prompts) {
        own.add(
            threads.submit(
                () -> {
                  List<Integer> ids = new ArrayList<>();
                  reused(cache, prompt, ids);
                  return ids;
                }));
        queued.add(queue.submit(prompt, OPTIONS, GenerationListener.NONE));
      }
      for (int i = 0; i < prompts.size(); i++) {
        assertThat(own.get(i).get()).isEqualTo(expected.get(i));
        assertThat(queued.get(i).result().ids()).isEqualTo(expected.get(i));
      }
      assertThat(cache.bytes()).isBetween(1L, 3_000_000L);
    } finally {
      threads.shutdown();
    }
  }

  @Test
  void closingItDoesNotDisturbWhatIsUnderWay() {
    PrefixCache cache = new PrefixCache(model, PLENTY, 64);
    int[] prompt = prompt(5, 200);
    GenerationListener closing =
        new GenerationListener() {
          @Override
          public void onPrefill(long done, long total) {
            if (done == 128) {
              cache.close();
            }
          }
        };
    Generator generator = new Generator(model).withPrefixCache(cache);
    assertThat(generator.generate(prompt, OPTIONS, closing).ids())
        .isEqualTo(new Generator(model).generate(prompt, OPTIONS, GenerationListener.NONE).ids());
    assertThat(cache.bytes()).isZero();
    assertThatThrownBy(() -> generator.generate(prompt, OPTIONS, GenerationListener.NONE))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("prefix cache is closed");
    assertThatThrownBy(cache::close).hasMessage("prefix cache is closed already");
  }

  @Test
  void aCheckpointThatCannotFitDropsNoOther() {
    int[] large = prompt(2, 1000);
    try (PrefixCache cache = new PrefixCache(model, 2_000_000, 64)) {
      reused(cache, prompt(1, 70), new ArrayList<>());
      long one = cache.bytes();
      SequenceStart begun = cache.begin(large);
      try (Session session = begun.session()) {
        while (session.state().memory().bytes() <= 2_000_000) {
          session.prefill(large);
        }
        begun.path().reached(session, large, 64);
      }
      assertThat(cache.checkpoints()).isEqualTo(1);
      assertThat(cache.bytes()).isEqualTo(one);
      assertThat(reused(cache, prompt(1, 70), new ArrayList<>())).isEqualTo(64);
    }
  }

  @Test
  void roomIsMadeBeforeAStateIsCopied() {
    int[] ids = prompt(2, 70);
    try (PrefixCache cache = new PrefixCache(model, 600_000, 64)) {
      reused(cache, prompt(1, 70), new ArrayList<>());
      assertThat(cache.bytes()).isBetween(300_001L, 600_000L);
      SequenceStart begun = cache.begin(ids);
      try (Session session = begun.session()) {
        session.prefill(Arrays.copyOf(ids, 64));
        session.state().beginPrompt(false); // so that it cannot be copied
        assertThatThrownBy(() -> begun.path().reached(session, ids, 64))
            .isInstanceOf(IllegalStateException.class)
            .hasMessageContaining("fork behind its end");
        session.state().endPrompt();
        assertThat(cache.bytes()).isZero();
        begun.path().reached(session, ids, 64);
      }
      assertThat(cache.bytes()).isBetween(300_001L, 600_000L);
    }
  }

  @Test
  void whatIsReadOnceMoreBeginsWithoutAClosedCache() {
    PrefixCache cache = new PrefixCache(model, PLENTY, 64);
    int[] prompt = prompt(6, 200);
    reused(cache, prompt, new ArrayList<>());
    Sequence sequence =
        new Sequence(model.config(), null, prompt, OPTIONS, GenerationListener.NONE, cache::begin);
    assertThat(sequence.next(100).ids()).hasSize(8); // 192 are known
    cache.close();
    sequence.close();
    sequence.renew();
    assertThat(sequence.next(100).ids()).isEqualTo(Arrays.copyOf(prompt, 64));
    sequence.close();
  }

  @Test
  void memoryIsFlatAndWrongArgumentsAreRefused() {
    // The same prompts again and again: the scratch memory of experts grows with the most tokens
    // that any of them sends to one.
    int[] calls = {0};
    try (PrefixCache cache = new PrefixCache(model, 2_000_000, 64)) {
      Runnable next = () -> reused(cache, prompt(calls[0]++ % 10, 140), new ArrayList<>());
      for (int i = 0; i < 30; i++) {
        next.run();
      }
      assertThat(cache.checkpoints()).isEqualTo(3);
      FlatMemory.assertFlat("prefixes", 120, next);
      assertThat(cache.bytes()).isLessThanOrEqualTo(2_000_000);
      try (MiniMaxModel other = Nano.load()) {
        assertThatThrownBy(() -> new Generator(other).withPrefixCache(cache))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("of this generator's model");
      }
    }
    assertThatThrownBy(() -> new PrefixCache(model, -1, 64))
        .hasMessage("maxBytes: expected >= 0, got -1");
    assertThatThrownBy(() -> new PrefixCache(model, 1, 65))
        .hasMessage("every: expected a multiple of 64, got 65");
  }
}
