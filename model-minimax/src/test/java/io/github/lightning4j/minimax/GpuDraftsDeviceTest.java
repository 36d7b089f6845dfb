package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.minimax.SessionGroup.Reading;
import io.github.lightning4j.minimax.SessionGroup.Turn;
import io.github.lightning4j.minimax.internal.Drafts;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Guessed tokens on a GPU: whatever was wrong of them, the sequence goes on as without. */
@RequiresCuda
final class GpuDraftsDeviceTest {
  private static final int[] PROMPT = {5, 9, 13, 2, 5, 9, 13, 2, 5, 9, 13};

  /** Of products that take other kernels for more rows. */
  private static final double BOUND = 2e-4;

  @TempDir private static Path folder;

  @BeforeAll
  static void write() throws IOException {
    SmallCheckpoint.write(folder, false);
  }

  private static MiniMaxModel there(String name) {
    KvCacheFormat format = KvCacheFormat.of(name);
    TokenPolicy window = TokenPolicy.NONE.withFirstTokens(1).withRecentWindow(3, 1);
    // Without a window wrong tokens get codes too, which those behind write over.
    TokenPolicy tokens = name.startsWith("rotatekv") ? TokenPolicy.NONE : window;
    return MiniMaxModel.load(
        folder,
        LoadOptions.DEFAULT
            .withDevice(Device.cuda(0))
            .withCacheBudget(PageBudget.ofBytes(1 << 20))
            .withCacheFormat(
                new KvCacheFormat(DType.BF16, format.policy(), Optional.empty(), Optional.empty())
                    .withTokens(tokens)));
  }

  private static void assertClose(String what, float[] actual, float[] expected) {
    Closeness.assertNmse(what, ModelContract.widen(actual), ModelContract.widen(expected), BOUND);
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "kv2", "rotatekv-2"})
  void aSequenceGoesOnBehindItsLastRightToken(String format) {
    long before = CudaMemory.liveBytes();
    try (MiniMaxModel there = there(format);
        Session plain = there.newSession();
        Session guessed = there.newSession();
        Session other = there.newSession();
        Drafts drafts = there.newDrafts()) {
      plain.prefill(PROMPT);
      guessed.prefill(PROMPT);
      int[] right = {7, 8};
      int[] first = {7, 8, 1, 2, 3, 4, 5, 6, 10}; // more than one call of single tokens
      // Beside a sequence that reads its first token and whose logits come behind.
      SessionGroup.run(
          List.of(
              new Turn(guessed, first, Reading.TEXT, drafts),
              new Turn(other, new int[] {3}, Reading.PROMPT_END, null)));
      for (int i = 0; i < 2; i++) {
        assertClose("token " + i, drafts.logits(i), plain.decode(right[i]));
      }
      guessed.commit(drafts, 2);
      assertThat(guessed.position()).isEqualTo(plain.position());
      SessionGroup.run(List.of(new Turn(guessed, new int[] {11, 12}, Reading.TEXT, drafts)));
      plain.decode(11);
      assertClose("all right", drafts.logits(1), plain.decode(12));
      guessed.commit(drafts, 2);
      assertClose("behind", guessed.decode(13), plain.decode(13));
      try (Session alone = there.newSession()) {
        assertClose("beside", other.logits(), alone.prefill(3));
      }
    }
    assertThat(CudaMemory.liveBytes()).isEqualTo(before);
  }

  @Test
  void guessesOverManyPagesBesideAPieceOfAPrompt() {
    int[] prompt = new Random(3).ints(270, 0, SmallCheckpoint.VOCABULARY).toArray();
    try (MiniMaxModel there = there("bf16");
        Session plain = there.newSession();
        Session other = there.newSession();
        Session alone = there.newSession();
        Drafts drafts = there.newDrafts()) {
      plain.prefill(prompt);
      try (Session guessed = plain.fork()) {
        SessionGroup.run(
            List.of(
                new Turn(guessed, new int[] {7, 8, 1}, Reading.TEXT, drafts),
                new Turn(other, new int[] {3, 4, 5}, Reading.PROMPT_PART, null)));
        assertClose("token 0", drafts.logits(0), plain.decode(7));
        assertClose("token 1", drafts.logits(1), plain.decode(8));
        guessed.commit(drafts, 2);
        assertClose("behind", guessed.decode(13), plain.decode(13));
      }
      SessionGroup.run(List.of(new Turn(other, new int[] {6, 7}, Reading.PROMPT_END, null)));
      assertClose("beside", other.logits(), alone.prefill(3, 4, 5, 6, 7));
    }
  }

  @Test
  void aGeneratorGuessesAndSaysWhatTheModelDoes() {
    GenerationOptions.Builder options =
        GenerationOptions.builder().maxNewTokens(6).stopAtEos(false);
    // Whatever is said first stood behind a 3 before.
    int[] prompt = new int[2 * SmallCheckpoint.VOCABULARY + 1];
    Arrays.setAll(prompt, i -> i % 2 == 0 ? 3 : i / 2);
    int[] guesses = new int[1];
    GenerationListener listener =
        new GenerationListener() {
          @Override
          public void onGuess(int more, int right) {
            guesses[0] += more;
          }
        };
    try (MiniMaxModel there = there("bf16");
        Session plain = there.newSession()) {
      List<Integer> said =
          new Generator(there).generate(prompt, options.promptLookup(3).build(), listener).ids();
      assertThat(said).hasSize(6);
      float[] logits = plain.prefill(prompt);
      for (int id : said) {
        assertGreatest(logits, id);
        logits = plain.decode(id);
      }
    }
    assertThat(guesses[0]).isPositive();
  }

  /** Where others are as great up to rounding, any of them may be chosen. */
  private static void assertGreatest(float[] logits, int id) {
    double squares = 0;
    double greatest = Double.NEGATIVE_INFINITY;
    for (float logit : logits) {
      squares += (double) logit * logit;
      greatest = Math.max(greatest, logit);
    }
    double deviation = Math.sqrt(BOUND * squares / logits.length);
    assertThat((double) logits[id]).isGreaterThanOrEqualTo(greatest - 6 * deviation);
  }
}
