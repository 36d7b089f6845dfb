package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.google.common.primitives.Ints;
import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.minimax.text.ChatMessage;
import io.github.lightning4j.minimax.text.ChatMessage.Part;
import io.github.lightning4j.minimax.text.ChatRequest;
import io.github.lightning4j.minimax.text.ChatTemplate;
import io.github.lightning4j.minimax.text.Tokenizer;
import io.github.lightning4j.minimax.vision.ImageException;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
  void isSavedAndOpenedWithItsVisionSide() {
    Path saved = temp.resolve("saved");
    try (Checkpoint checkpoint = Checkpoint.open(TWO.folder())) {
      checkpoint.save(saved);
    }
    try (MiniMaxModel model = MiniMaxModel.load(saved);
        ImagePrompt pictures = model.imagePrompt(prompt(), TWO.images())) {
      assertThat(new Generator(model).generate(pictures, SIXTEEN, GenerationListener.NONE).ids())
          .isEqualTo(expected());
    }
    try (Checkpoint checkpoint =
        Checkpoint.open(TWO.folder(), WeightFormats.parse("int8/32"), ProgressListener.NONE)) {
      checkpoint.save(temp.resolve("int8"));
    }
    try (MiniMaxModel model = MiniMaxModel.load(temp.resolve("int8"));
        ImagePrompt pictures = model.imagePrompt(prompt(), TWO.images());
        Session session = model.newSession()) {
      assertThat(session.prefill(pictures, ProgressListener.NONE)).doesNotContain(Float.NaN);
    }
  }

  @Test
  void reportCountsTheVisionSide() {
    ModelReport report = ModelReport.inspect(TWO.folder());
    try (SafetensorsFile one =
            SafetensorsFile.open(TWO.folder().resolve("model-00001-of-00002.safetensors"));
        SafetensorsFile two =
            SafetensorsFile.open(TWO.folder().resolve("model-00002-of-00002.safetensors"))) {
      long text = 0;
      long vision = 0;
      for (SafetensorsFile file : List.of(one, two)) {
        for (String name : file.names()) {
          long count = file.info(name).elements();
          text += name.startsWith("language_model.") ? count : 0;
          vision += name.startsWith("language_model.") ? 0 : count;
        }
      }
      assertThat(report.parameters().get(WeightRole.VISION)).isEqualTo(vision);
      assertThat(report.totalParameters()).isEqualTo(text + vision);
      assertThat(report.storedAs()).isEqualTo("16-bit weights");
    }
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

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      textBlock =
          """
          config.json              | "vision_feature_layer": -1            | "vision_feature_layer": 9              | vision_feature_layer: expected one of the 4 hidden states
          config.json              | "vision_feature_layer": -1            | "vision_feature_layer": -5             | vision_feature_layer: expected one of the 4 hidden states
          config.json              | "vision_feature_select_strategy": "default" | "vision_feature_select_strategy": "full" | vision_feature_select_strategy: expected default, got full
          config.json              | "projector_hidden_act": "gelu"        | "projector_hidden_act": "relu"         | projector_hidden_act: expected gelu or quick_gelu, got relu
          config.json              | "hidden_act": "gelu"                  | "hidden_act": "tanh"                   | vision_config.hidden_act: expected gelu or quick_gelu, got tanh
          config.json              | "image_token_index": 75               | "image_token_index": 80                | image_token_index: expected 0 <= id < 80, got 80
          config.json              | "vision_config"                       | "no_vision_config"                     | vision_config: expected an object, got nothing
          config.json              | "text_config"                         | "no_text_config"                       | text_config: expected an object, got nothing
          config.json              | "head_dim": 12                        | "head_dim": 11                         | expected shape
          config.json              | "num_local_experts": 4                | "num_local_experts": "four"            | text_config.num_local_experts: expected an integer
          config.json              | "image_size": 28                      | "image_size": 35                       | size: expected tiles of 35 pixels and patches of 7
          config.json              | "intermediate_size": 64               | "intermediate_size": 65                | expected shape [65, 32] by the config, got [64, 32]
          preprocessor_config.json | "process_image_mode": "anyres"        | "process_image_mode": "resize"         | process_image_mode: expected anyres, got resize
          preprocessor_config.json | "image_std"                           | "image_std": [1, 2], "other"           | image_std: expected 3 channels
          preprocessor_config.json | "size": [                             | "size": 28, "other": [                 | nothing
          """)
  void refusesFoldersThatDoNotFit(String file, String from, String to, String message) {
    Path folder =
        TWO.changed(temp.resolve("m"), file, text -> text.replace(from.strip(), to.strip()));
    if (message.equals("nothing")) {
      Checkpoint.open(folder).close();
      return;
    }
    assertThatThrownBy(() -> Checkpoint.open(folder).close())
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(message);
  }

  @Test
  void refusesFoldersWithoutPreprocessorOrWithAnother() throws IOException {
    Path folder =
        TWO.changed(
            temp.resolve("m"),
            "preprocessor_config.json",
            text -> text.replaceFirst("112\\s*]", "140 ]"));
    assertThatThrownBy(() -> MiniMaxModel.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("image_grid_pinpoints: expected [28x28,")
        .hasMessageContaining("as config.json has, got");
    Files.delete(folder.resolve("preprocessor_config.json"));
    assertThatThrownBy(() -> MiniMaxModel.load(folder))
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining("preprocessor_config.json: no such file");
  }

  @Test
  void refusesMissingAndUnexpectedTensors() throws IOException {
    String dropped = "vision_tower.vision_model.encoder.layers.1.mlp.fc2.bias";
    refusedTensors(tensors -> tensors.remove(dropped), "missing tensor " + dropped);
    refusedTensors(
        tensors -> tensors.put("vision_tower.more", tensors.get("image_newline")),
        "unexpected tensor vision_tower.more");
    refusedTensors(
        tensors -> tensors.put("image_newline", tensors.get("language_model.lm_head.weight")),
        "image_newline: expected shape [40] by the config, got [80, 40]");
    Path folder =
        rewritten(
            "ignored",
            tensors -> {
              Tensor newline = tensors.get("vision_tower.vision_model.pre_layrnorm.weight");
              tensors.put("vision_tower.vision_model.post_layernorm.weight", newline);
            });
    Checkpoint.open(folder).close();
  }

  private void refusedTensors(Consumer<Map<String, Tensor>> change, String message)
      throws IOException {
    Path folder = rewritten(message.replaceAll("\\W", ""), change);
    assertThatThrownBy(() -> Checkpoint.open(folder).close())
        .isInstanceOf(CheckpointException.class)
        .hasMessageContaining(message);
  }

  /** A copy in one file with the tensors changed. */
  private Path rewritten(String name, Consumer<Map<String, Tensor>> change) throws IOException {
    Path folder = Files.createDirectories(temp.resolve(name));
    for (String file : List.of("config.json", "preprocessor_config.json")) {
      Files.copy(TWO.folder().resolve(file), folder.resolve(file));
    }
    try (Safetensors source = Safetensors.open(TWO.folder())) {
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      source.names().forEach(tensor -> tensors.put(tensor, source.tensor(tensor)));
      change.accept(tensors);
      SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
    }
    return folder;
  }
}
