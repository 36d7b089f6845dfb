package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.minimax.GenerationResult.FinishReason;
import io.github.lightning4j.minimax.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

final class PromptLookupTest {
  /** A text that repeats itself, so that guesses come and some of them are right. */
  private static final String PROMPT =
      "I am sure it is not in my life. I am sure it is not in my heart. I am sure it is";

  private static MiniMaxModel model;
  private static Tokenizer tokenizer;

  @BeforeAll
  static void load() {
    model = Nano.load();
    tokenizer = Tokenizer.load(Nano.FOLDER);
  }

  @AfterAll
  static void close() {
    tokenizer.close();
    model.close();
  }

  private static GenerationOptions.Builder options(int lookup) {
    return GenerationOptions.builder().maxNewTokens(80).stopAtEos(false).promptLookup(lookup);
  }

  /** Adds up guesses and those that were right. */
  private static final class Guesses implements GenerationListener {
    private int guessed;
    private int accepted;

    @Override
    public void onGuess(int more, int right) {
      assertThat(right).isBetween(0, more);
      guessed += more;
      accepted += right;
    }
  }

  @Test
  void guessesWhatFollowedTheLongestThenLatestMatch() {
    assertThat(PromptLookup.guess(new int[] {1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3, 0}, 11, 3))
        .containsExactly(4, 9, 2);
    assertThat(PromptLookup.guess(new int[] {2, 3, 4, 2, 3, 5, 8, 2, 3}, 9, 2))
        .containsExactly(5, 8);
    assertThat(PromptLookup.guess(new int[] {7, 7, 7, 7}, 4, 9)).containsExactly(7);
    assertThat(PromptLookup.guess(new int[] {1, 2, 3, 4, 5}, 5, 4)).isEmpty();
    assertThat(PromptLookup.guess(new int[] {1}, 1, 4)).isEmpty();
    assertThat(PromptLookup.guess(new int[] {1, 2, 1, 2}, 4, 0)).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 15})
  void tokensAreTheSameAndTheStateTheSameBits(int lookup) {
    int[] prompt = tokenizer.encode(PROMPT);
    Guesses guesses = new Guesses();
    try (Session plain = model.newSession();
        Session guessed = model.newSession()) {
      Generator generator = new Generator(model, tokenizer);
      GenerationResult expected =
          generator.generate(plain, prompt, options(0).build(), GenerationListener.NONE);
      GenerationResult got = generator.generate(guessed, prompt, options(lookup).build(), guesses);
      assertThat(got.ids()).isEqualTo(expected.ids());
      assertThat(got.text()).isEqualTo(expected.text());
      assertThat(guesses.accepted).isPositive();
      assertThat(guesses.guessed).isGreaterThan(guesses.accepted);
      assertThat(guessed.position()).isEqualTo(plain.position());
      assertThat(guessed.logits()).isEqualTo(plain.logits());
      assertThat(guessed.decode(got.ids().get(79))).isEqualTo(plain.decode(got.ids().get(79)));
    }
  }

  @Test
  void sampledTokensAreTheSameToo() {
    GenerationOptions.Builder plain = options(0).temperature(0.7).topP(0.9).seed(3);
    GenerationOptions.Builder guessed = options(6).temperature(0.7).topP(0.9).seed(3);
    Generator generator = new Generator(model, tokenizer);
    assertThat(generator.generate(PROMPT, guessed.build()).ids())
        .isEqualTo(generator.generate(PROMPT, plain.build()).ids());
  }

  @Test
  void stopsWhereItWouldWithoutGuesses() {
    Generator generator = new Generator(model, tokenizer);
    for (int most : new int[] {1, 2, 5, 9}) {
      assertThat(generator.generate(PROMPT, options(8).maxNewTokens(most).build()).ids())
          .hasSize(most);
    }
    String text = generator.generate(PROMPT, options(0).build()).text();
    String stop = text.substring(40, 46);
    GenerationResult stopped = generator.generate(PROMPT, options(8).stopStrings(stop).build());
    assertThat(stopped.text()).isEqualTo(text.substring(0, text.indexOf(stop)));
    assertThat(stopped.finishReason()).isEqualTo(FinishReason.STOP);
  }

  @Test
  void batchesGuessToo() throws Exception {
    int[] prompt = tokenizer.encode(PROMPT);
    int[] other = tokenizer.encode("Mr. Darcy, Mr. Darcy, Mr. Darcy,");
    Guesses guesses = new Guesses();
    Generator generator = new Generator(model);
    try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
      GenerationHandle first = queue.submit(prompt, options(7).build(), guesses);
      GenerationHandle second = queue.submit(other, options(0).build(), GenerationListener.NONE);
      assertThat(first.result().ids()).isEqualTo(ids(generator, prompt));
      assertThat(second.result().ids()).isEqualTo(ids(generator, other));
    }
    assertThat(guesses.accepted).isPositive();
  }

  private static List<Integer> ids(Generator generator, int[] prompt) {
    return generator.generate(prompt, options(0).build(), GenerationListener.NONE).ids();
  }

  @Test
  void aSessionIsWholeWhereverItsListenerFailsOrCancels() {
    int[] prompt = tokenizer.encode(PROMPT);
    Generator generator = new Generator(model, tokenizer);
    List<Integer> ids = generator.generate(PROMPT, options(0).build()).ids();
    for (int at = 1; at <= 40; at += 3) {
      int last = at;
      List<Integer> heard = new ArrayList<>();
      GenerationListener failing =
          new GenerationListener() {
            @Override
            public void onToken(int id) {
              heard.add(id);
              if (heard.size() == last && last % 2 == 0) {
                throw new UnsupportedOperationException("enough");
              }
            }

            @Override
            public boolean isCancelled() {
              return heard.size() == last;
            }
          };
      try (Session session = model.newSession();
          Session plain = model.newSession()) {
        if (last % 2 == 0) {
          assertThatThrownBy(() -> generator.generate(session, prompt, options(5).build(), failing))
              .isInstanceOf(UnsupportedOperationException.class);
        } else {
          assertThat(generator.generate(session, prompt, options(5).build(), failing).ids())
              .isEqualTo(ids.subList(0, last));
        }
        assertThat(session.position()).isEqualTo(prompt.length + last - 1);
        plain.prefill(prompt);
        ids.subList(0, last - 1).forEach(plain::decode);
        assertThat(session.logits()).as("after %s", last).isEqualTo(plain.logits());
        assertThat(session.decode(5)).isEqualTo(plain.decode(5));
      }
    }
  }

  @Test
  void memoryIsFlatAndOutOfRangeIsRefused() {
    int[] prompt = tokenizer.encode(PROMPT);
    AtomicInteger runs = new AtomicInteger();
    FlatMemory.assertFlat(
        "guesses",
        100,
        () -> {
          GenerationOptions options = options(5).maxNewTokens(6).build();
          new Generator(model).generate(prompt, options, GenerationListener.NONE);
          runs.incrementAndGet();
        });
    assertThat(runs.get()).isGreaterThanOrEqualTo(100);
    assertThatThrownBy(() -> options(16).build())
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("promptLookup: expected 0 to 15, got 16");
  }
}
