package io.github.lightning4j.minimax;

import static io.github.lightning4j.minimax.Listeners.cancellingWithin;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Passes that are ended within the layers. Each operator asks at least once, so that small numbers
 * of questions lie within a pass whatever the threads do.
 */
final class CancelledPassTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.builder().maxNewTokens(8).stopAtEos(false).build();
  private static final int[] QUESTIONS = {2, 3, 5, 8, 13, 21};

  private final int before = Threads.count();

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  private static int[] prompt(int seed, int length) {
    return IntStream.range(0, length).map(i -> (i + seed) * (37 + seed) % 2048).toArray();
  }

  private static MiniMaxModel load(String weights, String cache) {
    return MiniMaxModel.load(
        Nano.FOLDER,
        LoadOptions.DEFAULT
            .withWeights(WeightFormats.parse(weights))
            .withCacheFormat(KvCacheFormat.of(cache)));
  }

  private static void cancelled(int question, Runnable work) {
    AtomicInteger asked = new AtomicInteger();
    assertThatThrownBy(() -> Threads.cancellable(() -> asked.incrementAndGet() >= question, work))
        .isInstanceOf(CancellationException.class);
    assertThat(asked).hasValue(question);
  }

  @ParameterizedTest
  @CsvSource({"bf16, bf16, 1", "bf16, kv2, 2", "int8, rotatekv-2, 3", "int4, bf16, 2"})
  void theSessionIsBrokenItsForkAndTheModelAreNot(String weights, String cache, int threads) {
    Threads.use(threads);
    int[] text = prompt(1, 150);
    int[] more = prompt(2, 100);
    try (MiniMaxModel model = load(weights, cache);
        Session whole = model.newSession()) {
      whole.prefill(text);
      whole.prefill(more);
      float[] expected = whole.decode(7).clone();
      for (int question : QUESTIONS) {
        try (Session session = model.newSession()) {
          session.prefill(text);
          try (Session fork = session.fork()) {
            cancelled(question, () -> session.prefill(more));
            assertThatThrownBy(() -> session.decode(7))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("session is broken by an earlier failure; close it");
            fork.prefill(more);
            assertThat(fork.decode(7)).isEqualTo(expected);
          }
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"bf16, 1", "bf16, 3", "int8, 2", "int4, 2"})
  void aRecordedStepIsEndedToo(String weights, int threads) {
    Threads.use(threads);
    int[] text = prompt(3, 40);
    try (MiniMaxModel model = load(weights, "bf16");
        Session whole = model.newSession()) {
      whole.prefill(text);
      List<float[]> expected = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        expected.add(whole.decode(i).clone());
      }
      for (int question : QUESTIONS) {
        try (Session session = model.newSession()) {
          session.prefill(text);
          for (int i = 0; i < 3; i++) {
            assertThat(session.decode(i)).isEqualTo(expected.get(i));
          }
          try (Session fork = session.fork()) {
            cancelled(question, () -> session.decode(3));
            assertThatThrownBy(() -> session.decode(3)).isInstanceOf(IllegalStateException.class);
            assertThat(fork.decode(3)).isEqualTo(expected.get(3));
          }
        }
      }
    }
  }

  @Test
  void generationEndsWithinAPromptAndWithinATokenAndLeavesNothing() {
    int[] text = prompt(4, 300);
    try (MiniMaxModel model = Nano.load()) {
      Generator generator = new Generator(model);
      List<Integer> whole = generator.generate(text, OPTIONS, GenerationListener.NONE).ids();
      for (int tokens : new int[] {0, 3}) {
        FlatMemory.assertFlat(
            "cancelled behind " + tokens + " tokens",
            2,
            () -> {
              for (int question : QUESTIONS) {
                List<Long> read = new ArrayList<>();
                GenerationResult result =
                    generator.generate(text, OPTIONS, cancellingWithin(read, tokens, question));
                assertThat(result.finishReason()).isEqualTo(FinishReason.CANCELLED);
                assertThat(result.ids()).isEqualTo(whole.subList(0, tokens));
                assertThat(read.isEmpty()).isEqualTo(tokens == 0);
              }
            });
      }
      assertThat(generator.generate(text, OPTIONS, GenerationListener.NONE).ids()).isEqualTo(whole);
    }
  }

  @Test
  void aPrefixCacheKeepsWhatWasWholeAndServesTheNext() {
    int[] text = prompt(5, 300);
    try (MiniMaxModel model = Nano.load();
        PrefixCache prefixes = new PrefixCache(model, 1L << 26, 128)) {
      List<Integer> whole =
          new Generator(model).generate(text, OPTIONS, GenerationListener.NONE).ids();
      Generator generator = new Generator(model).withPrefixCache(prefixes);
      for (int question : QUESTIONS) {
        generator.generate(text, OPTIONS, cancellingWithin(new ArrayList<>(), 0, question));
        generator.generate(text, OPTIONS, cancellingWithin(new ArrayList<>(), 2, question));
        assertThat(generator.generate(text, OPTIONS, GenerationListener.NONE).ids())
            .isEqualTo(whole);
      }
    }
  }

  @Test
  void aSessionOfTheCallersReadsWholeChunks() {
    int[] text = prompt(6, 300);
    LoadOptions chunks = LoadOptions.DEFAULT.withPrefillChunk(100);
    try (MiniMaxModel model = MiniMaxModel.load(Nano.FOLDER, chunks);
        Session session = model.newSession();
        Session plain = model.newSession()) {
      List<Long> read = new ArrayList<>();
      new Generator(model).generate(session, text, OPTIONS, cancellingWithin(read, 0, 2));
      assertThat(read).isEqualTo(List.of(100L));
      plain.prefill(Arrays.copyOf(text, 100));
      assertThat(session.logits()).isEqualTo(plain.logits());
      assertThat(session.decode(1)).isEqualTo(plain.decode(1));
    }
  }

  @Test
  void aQueueEndsAStepWithinWhereNobodyElseTakesPart() throws Exception {
    int[] text = prompt(7, 300);
    try (MiniMaxModel model = Nano.load();
        GenerationQueue queue = new Generator(model).queue(BatchLimits.DEFAULT)) {
      for (int question : QUESTIONS) {
        List<Long> read = new ArrayList<>();
        GenerationResult result =
            queue.submit(text, OPTIONS, cancellingWithin(read, 0, question)).result();
        assertThat(result.finishReason()).isEqualTo(FinishReason.CANCELLED);
        assertThat(read).isEmpty();
      }
    }
  }

  /** The second joins behind the first token of the first, and is cancelled while both are read. */
  @Test
  void oneOfSeveralInAStepEndsBehindItAndTheOthersGoOn() throws Exception {
    int[] text = prompt(8, 90);
    try (MiniMaxModel model = Nano.load()) {
      Generator generator = new Generator(model);
      List<Integer> whole = generator.generate(text, OPTIONS, GenerationListener.NONE).ids();
      for (int question : QUESTIONS) {
        List<Long> read = new ArrayList<>();
        AtomicReference<GenerationHandle> second = new AtomicReference<>();
        try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
          GenerationListener cancelling =
              new GenerationListener() {
                private int asked;

                @Override
                public void onToken(int id) {
                  if (second.get() == null) {
                    second.set(queue.submit(text, OPTIONS, cancellingWithin(read, -1, 0)));
                  }
                }

                @Override
                public boolean isCancelled() {
                  if (second.get() != null && ++asked == question) {
                    second.get().cancel();
                  }
                  return false;
                }
              };
          assertThat(queue.submit(text, OPTIONS, cancelling).result().ids()).isEqualTo(whole);
          GenerationResult cancelled = second.get().result();
          assertThat(cancelled.finishReason()).isEqualTo(FinishReason.CANCELLED);
          assertThat(cancelled.ids()).isEqualTo(whole.subList(0, 1));
          assertThat(read).isEqualTo(List.of(90L));
        }
      }
    }
  }

  @Test
  void closingAQueueEndsTheStepWithin() throws Exception {
    int[] text = prompt(9, 300);
    try (MiniMaxModel model = Nano.load()) {
      GenerationQueue queue = new Generator(model).queue(BatchLimits.DEFAULT);
      Thread closer = new Thread(queue::close);
      List<Long> read = new ArrayList<>();
      GenerationListener listener =
          new GenerationListener() {
            private int asked;

            @Override
            public void onPrefill(long done, long total) {
              read.add(done);
            }

            @Override
            public boolean isCancelled() {
              if (++asked == 3) {
                closer.start();
                while (closer.getState() != Thread.State.WAITING) {
                  Thread.onSpinWait();
                }
              }
              return false;
            }
          };
      GenerationResult result = queue.submit(text, OPTIONS, listener).result();
      closer.join();
      assertThat(result.finishReason()).isEqualTo(FinishReason.CANCELLED);
      assertThat(read).isEmpty();
    }
  }

  @Test
  void manyMoreThreadsThanProcessorsGiveTheSameBits() {
    int[] text = prompt(10, 200);
    try (MiniMaxModel model = Nano.load()) {
      List<float[]> logits = new ArrayList<>();
      for (int threads : new int[] {1, 4 * Runtime.getRuntime().availableProcessors()}) {
        Threads.use(threads);
        try (Session session = model.newSession()) {
          logits.add(session.prefill(text).clone());
          for (int i = 0; i < 20; i++) {
            logits.add(session.decode(i).clone());
          }
        }
      }
      for (int i = 0; i <= 20; i++) {
        assertThat(logits.get(21 + i)).as("step %s", i).isEqualTo(logits.get(i));
      }
    }
  }
}
