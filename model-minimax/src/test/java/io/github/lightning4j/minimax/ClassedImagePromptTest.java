package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.Doubles;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.vlmquant.TokenClass;
import io.github.lightning4j.vlmquant.VlmAccount;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Prompts with pictures over caches that know which tokens are pictures. */
final class ClassedImagePromptTest {
  private static final VisionFixture TWO = new VisionFixture("quickgelu_8l", "two");
  private static final GenerationOptions SIXTEEN =
      GenerationOptions.builder().maxNewTokens(16).stopAtEos(false).build();
  private static final int WINDOW = 16;
  private static final int PIVOTS = 15;

  /** A small window, so that most tokens leave it. */
  private static KvCacheFormat format(String name) {
    return KvCacheFormat.of(VlmPolicy.preset(name).withRecentWindow(WINDOW));
  }

  private static MiniMaxModel load(KvCacheFormat format, int chunk) {
    return MiniMaxModel.load(
        TWO.folder(), LoadOptions.DEFAULT.withCacheFormat(format).withPrefillChunk(chunk));
  }

  private static ImagePrompt prompt(MiniMaxModel model) {
    try (SafetensorsFile golden = TWO.openGolden()) {
      return model.imagePrompt(TWO.ids(golden, "prompt_ids"), TWO.images());
    }
  }

  /** The logits behind a prompt of two pictures, then those behind each golden answer. */
  private static List<double[]> logits(KvCacheFormat format, int chunk) {
    try (SafetensorsFile golden = TWO.openGolden();
        MiniMaxModel model = load(format, chunk);
        ImagePrompt prompt = prompt(model);
        Session session = model.newSession()) {
      List<double[]> logits = new ArrayList<>();
      logits.add(ModelContract.widen(session.prefill(prompt, ProgressListener.NONE)));
      for (int id : TWO.ids(golden, "gen_ids")) {
        logits.add(ModelContract.widen(session.decode(id)));
      }
      return logits;
    }
  }

  private static double[] answers(List<double[]> logits) {
    return Doubles.concat(logits.subList(1, logits.size()).toArray(new double[0][]));
  }

  private static long tokens(VlmAccount account, TokenClass tokenClass) {
    return account.classes().get(tokenClass).tokens();
  }

  @Test
  void tokensOfPicturesAreVisual() {
    try (MiniMaxModel model = load(format("akvq-2-text4"), 512);
        ImagePrompt prompt = prompt(model);
        Session session = model.newSession()) {
      session.prefill(1, 2, 3);
      session.prefill(prompt, ProgressListener.NONE);
      long before = session.position();
      int more = 40;
      for (int i = 0; i < more; i++) {
        session.decode(i);
      }
      int image = model.vision().orElseThrow().imageToken();
      long pictures = Arrays.stream(prompt.ids()).filter(id -> id == image).count();
      assertThat(session.accounts()).hasSize(1);
      VlmAccount account = session.accounts().get(0);
      long pivots = tokens(account, TokenClass.PIVOT);
      assertThat(account.tokens()).isEqualTo(before + more);
      assertThat(tokens(account, TokenClass.RECENT)).isEqualTo(WINDOW);
      assertThat(pivots).isBetween((long) PIVOTS, PIVOTS + 3L); // of two prompts
      assertThat(tokens(account, TokenClass.VISUAL)).isBetween(pictures - pivots, pictures);
      double n16 = WINDOW + pivots;
      double n4 = tokens(account, TokenClass.TEXT);
      assertThat(account.payloadBits())
          .isCloseTo(2 + 14 * n16 / account.tokens() + 2 * n4 / account.tokens(), within(1e-12));
      assertThat(session.cacheBytes()).isEqualTo(account.pageBytes());
      assertThat(session.storedBitsPerElement()).isCloseTo(account.averageBits(), within(1e-12));
    }
  }

  @Test
  void theSameIdsWithoutPicturesAreText() {
    try (MiniMaxModel model = load(format("akvq-2"), 512);
        Session session = model.newSession()) {
      int[] ids = new int[60];
      Arrays.fill(ids, model.vision().orElseThrow().imageToken());
      session.prefill(ids);
      assertThat(tokens(session.accounts().get(0), TokenClass.VISUAL)).isZero();
      try (Session exact = model.newSession(KvCacheFormat.exact(DType.BF16))) {
        assertThat(exact.accounts()).isEmpty();
      }
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"akvq-2", "akvq-2-lm", "akvq-2-text4"})
  void aPromptReadsItselfExactlyHoweverItIsCut(String name) {
    List<double[]> exact = logits(KvCacheFormat.exact(DType.F16), 512);
    List<double[]> whole = logits(format(name), 512);
    Closeness.assertNmse("prompt", whole.get(0), exact.get(0), 1e-6);
    Closeness.assertNmse("answers", answers(whole), answers(exact), 0.1);
    assertThat(answers(whole)).isNotEqualTo(answers(exact));
    for (int chunk : new int[] {50, 16}) {
      List<double[]> pieces = logits(format(name), chunk);
      Closeness.assertNmse("prompt by " + chunk, pieces.get(0), whole.get(0), 1e-6);
      Closeness.assertNmse("answers by " + chunk, answers(pieces), answers(whole), 1e-5);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"akvq-2", "akvq-2-lm", "akvq-2-text4"})
  void idsAreTheSameAloneBesideOthersAndGuessed(String name) throws Exception {
    long before = Memory.liveBytes();
    PageBudget pages = PageBudget.unlimited();
    try (MiniMaxModel model =
            MiniMaxModel.load(
                TWO.folder(),
                LoadOptions.DEFAULT.withCacheFormat(format(name)).withCacheBudget(pages));
        ImagePrompt prompt = prompt(model)) {
      Generator generator = new Generator(model);
      List<Integer> alone = generator.generate(prompt, SIXTEEN, GenerationListener.NONE).ids();
      GenerationOptions guessing =
          GenerationOptions.builder().maxNewTokens(16).stopAtEos(false).promptLookup(8).build();
      assertThat(generator.generate(prompt, guessing, GenerationListener.NONE).ids())
          .isEqualTo(alone);
      try (GenerationQueue queue = generator.queue(new BatchLimits(4, 48))) {
        List<GenerationHandle> handles = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
          handles.add(queue.submit(prompt, SIXTEEN, GenerationListener.NONE));
          queue.submit(new int[] {1, 2, 3}, SIXTEEN, GenerationListener.NONE);
        }
        for (GenerationHandle handle : handles) {
          assertThat(handle.result().ids()).isEqualTo(alone);
        }
      }
      assertThat(pages.used()).isZero();
    }
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void aForkGoesOnWithTheSameBits() {
    try (MiniMaxModel model = load(format("akvq-2"), 512);
        ImagePrompt prompt = prompt(model);
        Session session = model.newSession()) {
      session.prefill(prompt, ProgressListener.NONE);
      try (Session fork = session.fork()) {
        for (int id = 0; id < 30; id++) {
          assertThat(fork.decode(id)).isEqualTo(session.decode(id));
        }
        fork.decode(1);
        session.decode(2);
        assertThat(fork.accounts()).isEqualTo(session.accounts());
      }
    }
  }

  @Test
  void aSnapshotIsRefusedWithTheWayOut(@TempDir Path temp) {
    try (MiniMaxModel model = load(format("akvq-2"), 512);
        Session session = model.newSession()) {
      session.prefill(1, 2, 3);
      Path file = temp.resolve("session");
      assertThatThrownBy(() -> session.snapshot(file))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("caches by class (akvq-2)")
          .hasMessageContaining("read them again");
      assertThat(session.decode(4)).isNotEmpty();
      assertThat(file).doesNotExist();
    }
  }

  @Test
  void whatDoesNotFitIsRefused() {
    Path six = ModelFixture.root().resolve("heads6_nonpow2/hf");
    assertThatThrownBy(
            () -> MiniMaxModel.load(six, LoadOptions.DEFAULT.withCacheFormat(format("akvq-2"))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("headDim: expected 2^k");
  }
}
