package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Caches that run out of pages, and caches that hold more than others within the same budget. */
final class CacheBudgetTest {
  private static final int CONTEXT = 8192;
  private static final long BF16_TOKEN = 2 * 256 * 2;

  private static int[] prompt(int seed, int length) {
    return IntStream.range(0, length).map(i -> (i + seed) * (43 + seed) % 2048).toArray();
  }

  private static MiniMaxModel load(String name, PageBudget budget) {
    return MiniMaxModel.load(
        Nano.FOLDER,
        LoadOptions.DEFAULT
            .withCacheFormat(KvCacheFormat.of(name))
            .withCacheBudget(budget)
            .withPrefillChunk(128));
  }

  @ParameterizedTest
  @ValueSource(strings = {"f32", "bf16", "int8", "rotatekv-2", "kv2", "kivi-2", "akvq-2"})
  void aSessionWithoutPagesIsIntact(String name) {
    PageBudget budget = PageBudget.ofBytes(1000 * BF16_TOKEN);
    try (MiniMaxModel model = load(name, budget);
        MiniMaxModel unlimited = load(name, PageBudget.unlimited());
        Session session = model.newSession();
        Session expected = unlimited.newSession()) {
      session.prefill(prompt(1, 128));
      expected.prefill(prompt(1, 128));
      try (MemoryScope others = new MemoryScope()) {
        PageBudgetException full = null;
        for (int i = 0; full == null; i++) {
          Session other = others.add(model.newSession());
          int[] ids = prompt(i, 128);
          full = catchThrowableOfType(PageBudgetException.class, () -> other.prefill(ids));
        }
        assertThat(full.limit()).isEqualTo(budget.limit());
        fill(session, expected);
        long position = session.position();
        long used = budget.used();
        float[] logits = session.logits().clone();
        int[] more = prompt(2, 128);
        for (int attempt = 0; attempt < 2; attempt++) {
          assertThatThrownBy(() -> session.prefill(more)).isInstanceOf(PageBudgetException.class);
        }
        assertThat(session.position()).isEqualTo(position);
        assertThat(session.logits()).isEqualTo(logits);
        assertThat(budget.used()).isEqualTo(used).isLessThanOrEqualTo(budget.limit());
      }
      assertThat(session.prefill(prompt(2, 128))).isEqualTo(expected.prefill(prompt(2, 128)));
      assertThat(session.decode(5)).isEqualTo(expected.decode(5));
    }
    assertThat(budget.used()).isZero();
  }

  /** Decodes until there are no pages left. */
  private static void fill(Session session, Session expected) {
    for (int id : prompt(7, 4000)) {
      try {
        session.decode(id);
      } catch (PageBudgetException e) {
        return;
      }
      assertThat(session.logits()).isEqualTo(expected.decode(id));
    }
    throw new AssertionError("the budget was never exhausted");
  }

  @Test
  void aPromptThatDoesNotFitIsReadAsFarAsItDoes() {
    PageBudget budget = PageBudget.ofBytes(600 * BF16_TOKEN);
    try (MiniMaxModel model = load("bf16", budget);
        Session session = model.newSession()) {
      assertThatThrownBy(() -> session.prefill(prompt(1, 1000)))
          .isInstanceOf(PageBudgetException.class)
          .hasMessageContaining("raise the budget");
      assertThat(session.position()).isEqualTo(512);
      session.decode(3);
    }
  }

  @Test
  void aStepOfSeveralSessionsIsRefusedAsAWhole() {
    PageBudget budget = PageBudget.ofBytes(256 * BF16_TOKEN);
    try (MiniMaxModel model = load("bf16", budget);
        Session a = model.newSession();
        Session b = model.newSession()) {
      a.prefill(prompt(1, 128));
      List<Session> both = List.of(a, b);
      List<int[]> tokens = List.of(prompt(2, 64), prompt(3, 65));
      assertThatThrownBy(() -> Session.prefill(both, tokens))
          .isInstanceOf(PageBudgetException.class);
      assertThat(a.position()).isEqualTo(128);
      assertThat(b.position()).isZero();
      Session.prefill(both, List.of(prompt(2, 64), prompt(3, 64)));
      assertThat(budget.used()).isEqualTo(budget.limit());
    }
  }

  @Test
  void whoComesLastIsTheOneThatFindsNoPages() {
    GenerationOptions options =
        GenerationOptions.builder().maxNewTokens(100).stopAtEos(false).build();
    PageBudget budget = PageBudget.ofBytes(7 * 64 * BF16_TOKEN);
    try (MiniMaxModel model = load("bf16", budget)) {
      List<CompletableFuture<GenerationResult>> outcomes = new ArrayList<>();
      Generator generator = new Generator(model);
      try (Batch batch = generator.batch(new BatchLimits(3, 512))) {
        for (int i = 0; i < 3; i++) {
          Sequence sequence = generator.sequence(prompt(i, 70), options, GenerationListener.NONE);
          outcomes.add(new CompletableFuture<>());
          batch.add(new Batch.Member(sequence, outcomes.get(i)));
        }
        while (!batch.isEmpty()) {
          batch.step();
        }
      }
      assertThatThrownBy(outcomes.get(2)::join).hasCauseInstanceOf(PageBudgetException.class);
      for (int i = 0; i < 2; i++) {
        assertThat(outcomes.get(i).join().ids())
            .isEqualTo(generator.generate(prompt(i, 70), options, GenerationListener.NONE).ids());
      }
      assertThat(budget.used()).isZero();
    }
  }

  /** Two softmax layers of 2 kv heads of 8, padded to 16: 128 bytes a token in 16 bits. */
  @Test
  void oneLayerAfterTheOtherHoldsAPromptInSixteenBits() {
    int tokens = 1000;
    long staged = 128 * 1008;
    KvCacheFormat format = KvCacheFormat.of(VlmPolicy.preset("akvq-2").withRecentWindow(16));
    int[] ids = IntStream.range(0, tokens).map(i -> i * 37 % 128).toArray();
    for (long limit : new long[] {2 * staged - 30_000, staged + 10_000}) {
      PageBudget budget = PageBudget.ofBytes(limit);
      LoadOptions options =
          LoadOptions.DEFAULT
              .withCacheFormat(format)
              .withCacheBudget(budget)
              .withPrefillChunk(tokens);
      try (MiniMaxModel model =
              MiniMaxModel.load(ModelFixture.root().resolve("alt_gqa_b32/hf"), options);
          Session session = model.newSession()) {
        if (limit > 1.5 * staged) {
          session.prefill(ids);
          assertThat(budget.used()).isEqualTo(session.cacheBytes()).isLessThan(staged / 2);
        } else {
          assertThatThrownBy(() -> session.prefill(ids)).isInstanceOf(PageBudgetException.class);
          assertThat(session.position()).isZero();
        }
      }
      assertThat(budget.used()).isZero();
    }
  }

  /** How many sessions of a whole context fit: each holds pages of its own, and writes a token. */
  private static int sessions(String name, PageBudget budget, Path folder) {
    Path file = folder.resolve(name);
    try (MiniMaxModel model = load(name, budget);
        MemoryScope scope = new MemoryScope()) {
      try (Session first = model.newSession()) {
        for (int from = 0; from < CONTEXT - 1; from += 512) {
          first.prefill(prompt(from, Math.min(512, CONTEXT - 1 - from)));
        }
        first.snapshot(file);
      }
      for (int count = 0; ; count++) {
        try {
          Session session = scope.add(model.restore(file));
          session.decode(count);
          assertThat(session.position()).isEqualTo(CONTEXT);
        } catch (PageBudgetException e) {
          return count;
        }
      }
    }
  }

  @Test
  void sixTimesAsManySessionsAsInSixteenBits(@TempDir Path folder) {
    long bytes = 4 * CONTEXT * BF16_TOKEN;
    assertThat(sessions("bf16", PageBudget.ofBytes(bytes), folder)).isEqualTo(4);
    for (String name : new String[] {"rotatekv-2", "kv2"}) {
      PageBudget budget = PageBudget.ofBytes(bytes);
      assertThat(sessions(name, budget, folder)).as(name).isGreaterThanOrEqualTo(24);
      assertThat(budget.used()).isZero();
    }
  }
}
