package io.github.lightning4j.minimax;

import static com.google.common.util.concurrent.Uninterruptibles.awaitUninterruptibly;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.kvquant.PageBudget;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is promised of sessions holds whatever the format of their caches. */
final class CacheFormatsTest {
  private static final GenerationOptions OPTIONS =
      GenerationOptions.builder().maxNewTokens(20).stopAtEos(false).build();

  @TempDir private static Path temp;
  private static CalibratedNano nano;

  @BeforeAll
  static void calibrate() throws IOException {
    nano = CalibratedNano.in(temp);
  }

  private static List<Integer> alone(MiniMaxModel model, int[] prompt) {
    return new Generator(model).generate(prompt, OPTIONS, GenerationListener.NONE).ids();
  }

  private static int best(float[] logits) {
    return IntStream.range(0, logits.length)
        .reduce((a, b) -> logits[b] > logits[a] ? b : a)
        .orElseThrow();
  }

  @ParameterizedTest
  @ValueSource(
      strings = {
        "f32",
        "bf16",
        "int8",
        "rotatekv-4",
        "rotatekv-3",
        "rotatekv-2",
        "kv2",
        "kv2-wush",
        "kivi-2",
        "akvq-2"
      })
  void idsAreTheSameAloneInAGroupAndInAQueue(String name) throws Exception {
    List<int[]> prompts = List.of(nano.passage(0, 190), nano.passage(1, 3), nano.passage(2, 260));
    try (MiniMaxModel model = nano.load(name)) {
      List<List<Integer>> alone = prompts.stream().map(prompt -> alone(model, prompt)).toList();
      assertThat(group(model, prompts)).isEqualTo(alone);
      assertThat(queue(model, prompts)).isEqualTo(alone);
    }
  }

  private static List<List<Integer>> group(MiniMaxModel model, List<int[]> prompts) {
    List<List<Integer>> all = new ArrayList<>();
    try (MemoryScope scope = new MemoryScope()) {
      List<Session> sessions = new ArrayList<>();
      for (int i = 0; i < prompts.size(); i++) {
        sessions.add(scope.add(model.newSession()));
        all.add(new ArrayList<>());
      }
      Session.prefill(sessions, prompts);
      for (int step = 0; step < 20; step++) {
        int[] next = sessions.stream().mapToInt(session -> best(session.logits())).toArray();
        for (int i = 0; i < next.length; i++) {
          all.get(i).add(next[i]);
        }
        Session.decode(sessions, next);
      }
    }
    return all;
  }

  private static List<List<Integer>> queue(MiniMaxModel model, List<int[]> prompts)
      throws Exception {
    List<List<Integer>> all = new ArrayList<>();
    CountDownLatch begin = new CountDownLatch(1);
    CountDownLatch held = new CountDownLatch(1);
    GenerationListener hold =
        new GenerationListener() {
          @Override
          public void onToken(int id) {
            held.countDown();
            awaitUninterruptibly(begin);
          }
        };
    try (GenerationQueue queue = new Generator(model).queue(BatchLimits.DEFAULT)) {
      queue.submit(
          nano.passage(5, 1),
          GenerationOptions.builder().maxNewTokens(1).stopAtEos(false).build(),
          hold);
      awaitUninterruptibly(held);
      List<GenerationHandle> handles =
          prompts.stream().map(p -> queue.submit(p, OPTIONS, GenerationListener.NONE)).toList();
      begin.countDown();
      for (GenerationHandle handle : handles) {
        all.add(handle.result().ids());
      }
    }
    return all;
  }

  /** All formats but RotateKV's, which quantize before the prompt has been read to its end. */
  @ParameterizedTest
  @ValueSource(strings = {"f32", "bf16", "int8", "kv2", "kv2-wush", "kivi-2", "akvq-2"})
  void howAPromptIsCutDoesNotMatter(String name) {
    int[] prompt = nano.passage(0, 400);
    try (MiniMaxModel whole = nano.load(name);
        MiniMaxModel cut = MiniMaxModel.load(Nano.FOLDER, nano.options(name).withPrefillChunk(37));
        Session expected = whole.newSession();
        Session got = cut.newSession()) {
      expected.prefill(prompt);
      got.prefill(prompt);
      for (int id : nano.passage(3, 5)) {
        // A rounding in the last bit may move a code; what that does is far below the format's
        // error.
        Closeness.assertNmse(
            name, ModelContract.widen(got.logits()), ModelContract.widen(expected.logits()), 1e-5);
        expected.decode(id);
        got.decode(id);
      }
      assertThat(got.cacheBytes()).isEqualTo(expected.cacheBytes());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "int8", "rotatekv-2", "kv2", "kv2-wush", "kivi-2", "akvq-2"})
  void sixteenSessionsInAStepGetTheBitsOfEachAlone(String name) {
    try (MiniMaxModel model = nano.load(name);
        MemoryScope scope = new MemoryScope()) {
      List<Session> sessions = new ArrayList<>();
      for (int i = 0; i < 16; i++) {
        sessions.add(scope.add(model.newSession()));
        sessions.get(i).prefill(nano.passage(i % 4, 130 + 5 * i));
      }
      List<Session> alone = sessions.stream().map(Session::fork).map(scope::add).toList();
      for (int step = 0; step < 3; step++) {
        int[] ids = nano.passage(step, 16);
        Session.decode(sessions, ids);
        for (int i = 0; i < 16; i++) {
          assertThat(sessions.get(i).logits()).isEqualTo(alone.get(i).decode(ids[i]));
        }
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "int8", "rotatekv-2", "kv2", "kv2-wush", "kivi-2", "akvq-2"})
  void guessesLeaveTheSameTokensAndBits(String name) {
    int[] once = nano.passage(0, 90);
    int[] prompt = IntStream.range(0, 200).map(i -> once[i % 90]).toArray();
    List<Integer> accepted = new ArrayList<>();
    GenerationListener guesses =
        new GenerationListener() {
          @Override
          public void onGuess(int more, int right) {
            accepted.add(right);
          }
        };
    GenerationOptions.Builder options =
        GenerationOptions.builder().maxNewTokens(50).stopAtEos(false);
    try (MiniMaxModel model = nano.load(name);
        Session plain = model.newSession();
        Session guessed = model.newSession()) {
      Generator generator = new Generator(model);
      List<Integer> expected =
          generator.generate(plain, prompt, options.build(), GenerationListener.NONE).ids();
      GenerationOptions lookup = options.promptLookup(7).build();
      assertThat(generator.generate(guessed, prompt, lookup, guesses).ids()).isEqualTo(expected);
      assertThat(accepted).contains(0).anyMatch(right -> right > 0);
      assertThat(guessed.logits()).isEqualTo(plain.logits());
      assertThat(guessed.decode(7)).isEqualTo(plain.decode(7));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "int8", "rotatekv-2", "kv2", "kivi-2", "akvq-2"})
  void whatBeganLikeAnotherGoesOnWithTheSameBits(String name) {
    PageBudget pages = PageBudget.unlimited();
    int[] prompt = nano.passage(0, 420);
    try (MiniMaxModel model =
        MiniMaxModel.load(Nano.FOLDER, nano.options(name).withCacheBudget(pages))) {
      try (PrefixCache cache = new PrefixCache(model, 1L << 30, 128)) {
        Generator generator = new Generator(model).withPrefixCache(cache);
        List<Integer> cold = generator.generate(prompt, OPTIONS, GenerationListener.NONE).ids();
        assertThat(cache.checkpoints()).isEqualTo(3);
        assertThat(cache.bytes()).isGreaterThanOrEqualTo(pages.used());
        assertThat(generator.generate(prompt, OPTIONS, GenerationListener.NONE).ids())
            .isEqualTo(cold);
        SequenceStart start = cache.begin(prompt);
        assertThat(start.read()).isEqualTo(384);
        try (Session warm = start.session();
            Session whole = model.newSession()) {
          // Checkpoints end a prompt.
          for (int from = 0; from < 420; from += 128) {
            whole.prefill(Arrays.copyOfRange(prompt, from, Math.min(420, from + 128)));
          }
          assertThat(warm.prefill(Arrays.copyOfRange(prompt, 384, 420))).isEqualTo(whole.logits());
          assertThat(warm.decode(3)).isEqualTo(whole.decode(3));
        }
      }
      assertThat(pages.used()).isZero();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"bf16", "int8", "rotatekv-2", "kv2", "kv2-wush", "akvq-2"})
  void decodingTakesNothingButPages(String name) {
    PageBudget pages = PageBudget.unlimited();
    try (MiniMaxModel model =
            MiniMaxModel.load(Nano.FOLDER, nano.options(name).withCacheBudget(pages));
        Session session = model.newSession()) {
      session.prefill(nano.passage(0, 200));
      session.decode(1);
      long before = Memory.liveBytes() - pages.used();
      for (int id : nano.passage(1, 150)) {
        session.decode(id);
        assertThat(Memory.liveBytes() - pages.used()).isEqualTo(before);
      }
    }
  }
}
