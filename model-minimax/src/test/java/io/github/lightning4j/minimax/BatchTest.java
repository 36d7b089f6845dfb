package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.internal.HostMemory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** Steps of several sessions: what they give, and what becomes of them when one fails. */
final class BatchTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.builder().maxNewTokens(10).stopAtEos(false).build();
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
    return IntStream.range(0, length).map(i -> (i + seed) * (41 + seed) % 2048).toArray();
  }

  @Test
  void sixteenSessionsInAStepGetTheBitsOfEachAlone() {
    List<Session> sessions = new ArrayList<>();
    for (int i = 0; i < 16; i++) {
      sessions.add(model.newSession());
      sessions.get(i).prefill(prompt(i, 2 + 13 * i));
    }
    List<Session> alone = sessions.stream().map(Session::fork).toList();
    for (int step = 0; step < 4; step++) {
      int[] ids = prompt(step, 16);
      Session.decode(sessions, ids);
      for (int i = 0; i < 16; i++) {
        assertThat(sessions.get(i).logits()).isEqualTo(alone.get(i).decode(ids[i]));
      }
    }
    sessions.forEach(Session::close);
    alone.forEach(Session::close);
  }

  @Test
  void chunksAndSingleTokensGoTogether() {
    try (Session reading = model.newSession();
        Session writing = model.newSession()) {
      writing.prefill(prompt(1, 50));
      try (Session readingAlone = model.newSession();
          Session writingAlone = writing.fork()) {
        for (int from = 0; from < 90; from += 30) {
          int[] chunk = prompt(2 + from, 30);
          Session.prefill(List.of(reading, writing), List.of(chunk, new int[] {from}));
          readingAlone.prefill(chunk);
          writingAlone.decode(from);
        }
        close("chunks", reading, readingAlone);
        close("single tokens", writing, writingAlone);
      }
      assertThat(reading.position()).isEqualTo(90);
      assertThat(writing.position()).isEqualTo(53);
    }
  }

  private static void close(String what, Session got, Session expected) {
    Closeness.assertNmse(
        what, ModelContract.widen(got.logits()), ModelContract.widen(expected.logits()), 1e-10);
  }

  @Test
  void aBadTokenInOneSessionChangesNone() {
    try (Session a = model.newSession();
        Session b = model.newSession()) {
      assertThatThrownBy(
              () -> Session.prefill(List.of(a, b), List.of(new int[] {1, 2}, new int[] {2048})))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("got 2048");
      assertThatThrownBy(() -> Session.prefill(List.of(a, b), List.of(new int[] {1})))
          .hasMessage("ids: expected tokens for each of 2 sessions, got 1");
      assertThat(a.position() + b.position()).isZero();
      a.prefill(1);
    }
  }

  /** A session that fails within a layer, after lightning layers have moved on. */
  private static SequenceStart broken() {
    Session session = model.newSession();
    HostMemory.of(session.state())
        .cache(model.config().layers().lastIndexOf(LayerKind.SOFTMAX))
        .close();
    return new SequenceStart(session, 0, null);
  }

  private static SequenceStart whole() {
    return new SequenceStart(model.newSession(), 0, null);
  }

  private static List<CompletableFuture<GenerationResult>> run(int failures, List<Integer> told) {
    List<CompletableFuture<GenerationResult>> outcomes = new ArrayList<>();
    AtomicInteger failed = new AtomicInteger();
    try (Batch batch = new Batch(new BatchLimits(4, 48), false)) {
      for (int i = 0; i < 3; i++) {
        boolean bad = i == 1;
        GenerationListener listener =
            new GenerationListener() {
              @Override
              public void onToken(int id) {
                if (bad) {
                  told.add(id);
                }
              }
            };
        Sequence sequence =
            new Sequence(
                model.config(),
                null,
                prompt(i, 30),
                OPTIONS,
                listener,
                ids -> bad && failed.getAndIncrement() < failures ? broken() : whole());
        outcomes.add(new CompletableFuture<>());
        batch.add(new Batch.Member(sequence, outcomes.get(i)));
      }
      while (!batch.isEmpty()) {
        batch.step();
      }
    }
    return outcomes;
  }

  private static List<Integer> alone(int i) {
    return new Generator(model).generate(prompt(i, 30), OPTIONS, GenerationListener.NONE).ids();
  }

  @Test
  void aSessionThatKeepsFailingEndsAlone() {
    List<CompletableFuture<GenerationResult>> outcomes = run(Integer.MAX_VALUE, new ArrayList<>());
    assertThatThrownBy(outcomes.get(1)::join)
        .isInstanceOf(CompletionException.class)
        .hasRootCauseMessage("cache is closed");
    assertThat(outcomes.get(0).join().ids()).isEqualTo(alone(0));
    assertThat(outcomes.get(2).join().ids()).isEqualTo(alone(2));
  }

  @Test
  void afterAFailureThatPassesAllGoOn() {
    List<Integer> told = new ArrayList<>();
    List<CompletableFuture<GenerationResult>> outcomes = run(1, told);
    for (int i = 0; i < 3; i++) {
      assertThat(outcomes.get(i).join().ids()).isEqualTo(alone(i));
    }
    assertThat(told).isEqualTo(alone(1));
  }

  @Test
  void cancellingOneAloneLeavesItsSessionUsable() {
    int[] prompt = prompt(3, 1200);
    List<Long> read = new ArrayList<>();
    try (Session session = model.newSession()) {
      GenerationResult result =
          new Generator(model).generate(session, prompt, OPTIONS, Listeners.cancelling(read, 1));
      assertThat(result.finishReason()).isEqualTo(GenerationResult.FinishReason.CANCELLED);
      assertThat(read).containsExactly(512L);
      assertThat(session.position()).isEqualTo(512);
      session.prefill(Arrays.copyOfRange(prompt, 512, 1200));
      try (Session other = model.newSession()) {
        assertThat(session.logits()).isEqualTo(other.prefill(prompt));
      }
    }
  }

  @Test
  void anExceptionOfTheProgressEndsAPrefillBetweenChunks() {
    int[] prompt = prompt(4, 1100);
    try (Session session = model.newSession();
        Session other = model.newSession()) {
      assertThatThrownBy(
              () ->
                  session.prefill(
                      prompt,
                      (done, total) -> {
                        throw new UnsupportedOperationException("enough");
                      }))
          .isInstanceOf(UnsupportedOperationException.class);
      assertThat(session.position()).isEqualTo(512);
      session.prefill(Arrays.copyOfRange(prompt, 512, 1100));
      assertThat(session.logits()).isEqualTo(other.prefill(prompt));
    }
  }
}
