package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.Ints;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.minimax.text.ChatMessage;
import io.github.lightning4j.minimax.text.ChatMessage.Part;
import io.github.lightning4j.minimax.text.ChatRequest;
import io.github.lightning4j.minimax.text.ChatTemplate;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.vision.ImageException;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Prompts with pictures: in sessions, queues and files, and what is refused. */
final class ImagePromptTest {
  private static final VisionFixture TWO = new VisionFixture("gelu_4l", "two");
  private static final GenerationOptions SIXTEEN =
      GenerationOptions.builder().maxNewTokens(16).build();

  /** The placeholder of the tiny model. */
  private static final int IMAGE = 75;

  @TempDir Path temp;

  private static List<Integer> expected() {
    try (SafetensorsFile golden = TWO.openGolden()) {
      return Ints.asList(TWO.ids(golden, "gen_ids"));
    }
  }

  private static int[] prompt() {
    try (SafetensorsFile golden = TWO.openGolden()) {
      return TWO.ids(golden, "prompt_ids");
    }
  }

  @Test
  void standsBehindOtherTokensAndOtherPictures() {
    RgbImage gray = VisionFixture.image("gray");
    RgbImage row = VisionFixture.image("row_1px");
    try (MiniMaxModel model = MiniMaxModel.load(TWO.folder());
        ImagePrompt first = model.imagePrompt(new int[] {4, IMAGE, 5}, List.of(gray));
        ImagePrompt second = model.imagePrompt(new int[] {IMAGE, 6}, List.of(row));
        ImagePrompt whole =
            model.imagePrompt(new int[] {4, IMAGE, 5, 1, 2, IMAGE, 6}, List.of(gray, row));
        Session parts = model.newSession();
        Session once = model.newSession()) {
      parts.prefill(first, ProgressListener.NONE);
      parts.prefill(1, 2);
      parts.prefill(second, ProgressListener.NONE);
      once.prefill(whole, ProgressListener.NONE);
      assertThat(parts.position()).isEqualTo(once.position()).isEqualTo(whole.length());
      double scale = TWO.tolerance("logits");
      for (int i = 0; i < once.logits().length; i++) {
        assertThat((double) parts.logits()[i]).isCloseTo(once.logits()[i], within(scale));
      }
      // The same ids without pictures are something else.
      try (Session blind = model.newSession()) {
        blind.prefill(whole.ids());
        assertThat(blind.logits()).isNotEqualTo(once.logits());
      }
    }
  }

  @Test
  void runsInAQueueBesideTextAndOtherPictures() throws Exception {
    try (MiniMaxModel model = MiniMaxModel.load(TWO.folder());
        PrefixCache prefixes = new PrefixCache(model, 1 << 24, 64);
        ImagePrompt pictures = model.imagePrompt(prompt(), TWO.images());
        ImagePrompt swapped =
            model.imagePrompt(prompt(), List.of(TWO.images().get(0), TWO.images().get(0)))) {
      Generator generator = new Generator(model).withPrefixCache(prefixes);
      List<Integer> other = generator.generate(swapped, SIXTEEN, GenerationListener.NONE).ids();
      assertThat(other).isNotEqualTo(expected());
      try (GenerationQueue queue = generator.queue(new BatchLimits(4, 48))) {
        List<GenerationHandle> handles = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
          handles.add(queue.submit(pictures, SIXTEEN, GenerationListener.NONE));
          handles.add(queue.submit(swapped, SIXTEEN, GenerationListener.NONE));
          queue.submit(new int[] {1, 2, 3}, SIXTEEN, GenerationListener.NONE);
        }
        for (int i = 0; i < handles.size(); i++) {
          assertThat(handles.get(i).result().ids()).isEqualTo(i % 2 == 0 ? expected() : other);
        }
      }
    }
  }

  @Test
  void guessesOfPromptLookupChangeNothing() {
    try (MiniMaxModel model = MiniMaxModel.load(TWO.folder());
        ImagePrompt pictures = model.imagePrompt(prompt(), TWO.images())) {
      GenerationOptions guessing =
          GenerationOptions.builder().maxNewTokens(16).promptLookup(8).build();
      assertThat(new Generator(model).generate(pictures, guessing, GenerationListener.NONE).ids())
          .isEqualTo(expected());
    }
  }

  @Test
  void rowsDoNotDependOnThreads() {
    int before = Threads.count();
    try (MiniMaxModel model = MiniMaxModel.load(TWO.folder())) {
      List<float[]> logits = new ArrayList<>();
      for (int threads : new int[] {1, 3}) {
        Threads.use(threads);
        try (ImagePrompt pictures = model.imagePrompt(prompt(), TWO.images());
            Session session = model.newSession()) {
          logits.add(session.prefill(pictures, ProgressListener.NONE).clone());
        }
      }
      assertThat(logits.get(1)).isEqualTo(logits.get(0));
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    long before = Memory.liveBytes();
    try (MiniMaxModel model = MiniMaxModel.load(TWO.folder())) {
      model.imagePrompt(prompt(), TWO.images()).close();
      long open = Memory.liveBytes();
      for (int i = 0; i < 3; i++) {
        model.imagePrompt(prompt(), TWO.images()).close();
      }
      assertThat(Memory.liveBytes()).isEqualTo(open);
    }
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  @Test
  void refusesPicturesThatDoNotMatchThePrompt() {
    List<RgbImage> images = TWO.images();
    try (MiniMaxModel model = MiniMaxModel.load(TWO.folder());
        MiniMaxModel other = MiniMaxModel.load(TWO.folder());
        Session session = model.newSession()) {
      String expected = "images: expected one for each of %d placeholders (<image>, token 75)";
      refused(() -> model.imagePrompt(prompt(), images.subList(0, 1)), expected.formatted(2), "1");
      refused(() -> model.imagePrompt(new int[] {1}, images), expected.formatted(0), "got 2");
      refused(() -> model.imagePrompt(new int[] {IMAGE}, List.of()), expected.formatted(1), "0");
      refused(() -> model.imagePrompt(new int[0], List.of()), "ids: expected at least one token");
      refused(() -> model.imagePrompt(new int[] {80}, List.of()), "ids[0]: expected 0 <= id < 80");
      RgbImage thin = RgbImage.of(1, 5000, new byte[15_000]);
      assertThatThrownBy(() -> model.imagePrompt(new int[] {IMAGE}, List.of(thin)))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining("1x5000 pixels: too thin");
      int[] many = new int[60];
      Arrays.fill(many, IMAGE);
      List<RgbImage> copies = Collections.nCopies(60, images.get(0));
      refused(() -> model.imagePrompt(many, copies), "do not fit the context of 8192");
      try (ImagePrompt foreign = other.imagePrompt(prompt(), images)) {
        refused(
            () -> session.prefill(foreign, ProgressListener.NONE), "prompt: expected one of this");
        refused(
            () -> new Generator(model).generate(foreign, SIXTEEN, GenerationListener.NONE),
            "prompt: expected one of this model");
      }
      ImagePrompt closed = model.imagePrompt(prompt(), images);
      closed.close();
      assertThatThrownBy(() -> session.prefill(closed, ProgressListener.NONE))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("image prompt is closed");
      assertThat(session.prefill(1, 2)).as("the session can be used on").isNotEmpty();
    }
  }

  @Test
  void callsWithoutPicturesRefuseWhatStandsForThem() {
    Path folder = TWO.withTokenizer(temp.resolve("text"));
    int[] ids = {1, 2, IMAGE, 3};
    String told = "ids[2]: token 75 stands for a picture, and this call takes none; give them with";
    String text = "a<image>b";
    try (MiniMaxModel model = MiniMaxModel.load(folder);
        Tokenizer tokenizer = Tokenizer.load(folder);
        Session session = model.newSession()) {
      Generator generator = new Generator(model, tokenizer);
      GenerationListener none = GenerationListener.NONE;
      refused(() -> generator.generate(ids, SIXTEEN, none), told);
      refused(() -> generator.generate(session, ids, SIXTEEN, none), told);
      refused(() -> generator.generateBatch(List.of(new int[] {1}, ids), SIXTEEN), told);
      refused(() -> generator.generate(text, SIXTEEN), "prompt: <image> stands for a picture");
      refused(() -> generator.stream(text, SIXTEEN, piece -> {}), "prompt: <image> stands for");
      try (GenerationQueue queue = generator.queue(BatchLimits.DEFAULT)) {
        refused(() -> queue.submit(ids, SIXTEEN, none), told);
        refused(() -> queue.submit(text, SIXTEEN, none), "prompt: <image> stands for a picture");
      }
      assertThat(session.position()).isZero();
      assertThat(generator.generate("ab", SIXTEEN).ids()).isNotEmpty();
    }
    try (MiniMaxModel model = Nano.load();
        Tokenizer tokenizer = Tokenizer.load(Nano.FOLDER)) {
      Generator generator = new Generator(model, tokenizer);
      int[] same = tokenizer.encode(text); // to a model of text it is text
      assertThat(generator.generate(text, SIXTEEN).ids())
          .isEqualTo(generator.generate(same, SIXTEEN, GenerationListener.NONE).ids());
    }
  }

  @Test
  void modelsOfTextTakeNoPictures() {
    Path folder = ModelFixture.root().resolve("small_qkv_eps/hf");
    try (MiniMaxModel model = MiniMaxModel.load(folder);
        ImagePrompt none = model.imagePrompt(new int[] {1, 2, 3}, List.of());
        Session session = model.newSession();
        Session plain = model.newSession()) {
      assertThat(model.vision()).isEmpty();
      refused(
          () -> model.imagePrompt(new int[] {1}, TWO.images()),
          "images: expected none, since " + folder + " reads text only, got 2");
      assertThat(session.prefill(none, ProgressListener.NONE)).isEqualTo(plain.prefill(1, 2, 3));
    }
  }

  @Test
  void textHasPicturesWhereItsPlaceholdersAre() {
    Path folder = TWO.withTokenizer(temp.resolve("text"));
    List<RgbImage> images = List.of(VisionFixture.image("gray"), VisionFixture.image("row_1px"));
    try (MiniMaxModel model = MiniMaxModel.load(folder);
        Tokenizer tokenizer = Tokenizer.load(folder)) {
      Generator generator = new Generator(model, tokenizer);
      int[] ids =
          Ints.concat(
              new int[] {IMAGE}, tokenizer.encode("what is"), new int[] {IMAGE}, new int[] {0});
      String text = "<image>what is<image>a";
      List<Integer> answer;
      try (ImagePrompt told = generator.imagePrompt(text, images);
          ImagePrompt same = model.imagePrompt(ids, images)) {
        assertThat(told.ids()).isEqualTo(same.ids());
        assertThat(told.length()).isEqualTo(7 + 1 + 100 + 16);
        answer = generator.generate(same, SIXTEEN, GenerationListener.NONE).ids();
      }
      GenerationResult result = generator.generate(text, images, SIXTEEN, GenerationListener.NONE);
      assertThat(result.ids()).isEqualTo(answer);
      assertThat(result.promptTokens()).isEqualTo(124);
      refused(
          () -> generator.generate("what is", images, SIXTEEN, GenerationListener.NONE),
          "images: expected one for each of 0 placeholders (<image>, token 75) of the prompt, got 2");
      ChatMessage asked =
          new ChatMessage(
              "user", List.of(Part.image(), Part.text("and"), Part.image(), Part.text("?")), null);
      String chat = ChatTemplate.minimaxVl01().render(ChatRequest.of(asked));
      try (ImagePrompt prompt = generator.imagePrompt(chat, images)) {
        assertThat(prompt.length())
            .isEqualTo(tokenizer.encode(chat.replace("<image>", "")).length + 116);
      }
    }
    try (MiniMaxModel model = MiniMaxModel.load(folder)) {
      assertThatThrownBy(() -> new Generator(model).imagePrompt("<image>", images))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("needs a tokenizer");
    }
  }

  private static void refused(Runnable call, String... messages) {
    var thrown = assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class);
    for (String message : messages) {
      thrown.hasMessageContaining(message);
    }
  }
}
