package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.google.common.primitives.Ints;
import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Checkpoint folders of models with pictures: saved, reported, and what is refused. */
final class VisionCheckpointTest {
  private static final VisionFixture TWO = new VisionFixture("gelu_4l", "two");

  @TempDir Path temp;

  @Test
  void isSavedAndOpenedWithItsVisionSide() {
    int[] prompt;
    int[] expected;
    try (SafetensorsFile golden = TWO.openGolden()) {
      prompt = TWO.ids(golden, "prompt_ids");
      expected = TWO.ids(golden, "gen_ids");
    }
    GenerationOptions options = GenerationOptions.builder().maxNewTokens(expected.length).build();
    Path saved = temp.resolve("saved");
    try (Checkpoint checkpoint = Checkpoint.open(TWO.folder())) {
      checkpoint.save(saved);
    }
    try (MiniMaxModel model = MiniMaxModel.load(saved);
        ImagePrompt pictures = model.imagePrompt(prompt, TWO.images())) {
      assertThat(new Generator(model).generate(pictures, options, GenerationListener.NONE).ids())
          .isEqualTo(Ints.asList(expected));
    }
    try (Checkpoint checkpoint =
        Checkpoint.open(TWO.folder(), WeightFormats.parse("int8/32"), ProgressListener.NONE)) {
      checkpoint.save(temp.resolve("int8"));
    }
    try (MiniMaxModel model = MiniMaxModel.load(temp.resolve("int8"));
        ImagePrompt pictures = model.imagePrompt(prompt, TWO.images());
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
        tensors -> tensors.remove("language_model.model.norm.weight"),
        "language_model.*: missing tensor model.norm.weight");
    refusedTensors(
        tensors -> tensors.put("language_model.more", tensors.get("image_newline")),
        "language_model.*: unexpected tensor more");
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

  private static String byTransformers(String name, String tower) {
    return name.startsWith("language_model.lm_head.")
        ? name.substring("language_model.".length())
        : "model."
            + name.replaceFirst("^language_model\\.model\\.", "language_model.")
                .replaceFirst("^vision_tower\\.vision_model\\.", tower);
  }

  /** All within one model but the head, and the tower with or without a name of its own. */
  @ParameterizedTest
  @CsvSource({"vision_tower.vision_model., image_token_index", "vision_tower., image_token_id"})
  void namesOfTransformersAreThoseOfTheRelease(String tower, String token) throws IOException {
    Path folder =
        rewritten(
            "saved",
            tensors -> {
              Map<String, Tensor> before = new LinkedHashMap<>(tensors);
              tensors.clear();
              before.forEach((name, tensor) -> tensors.put(byTransformers(name, tower), tensor));
              assertThat(tensors)
                  .containsKeys(
                      "lm_head.weight",
                      "model.language_model.norm.weight",
                      "model." + tower + "pre_layrnorm.bias",
                      "model.multi_modal_projector.linear_1.bias",
                      "model.image_newline");
            });
    Path config = folder.resolve("config.json");
    Files.writeString(config, Files.readString(config).replace("image_token_index", token));
    try (SafetensorsFile golden = TWO.openGolden();
        MiniMaxModel model = MiniMaxModel.load(folder);
        ImagePrompt pictures = model.imagePrompt(TWO.ids(golden, "prompt_ids"), TWO.images())) {
      int[] expected = TWO.ids(golden, "gen_ids");
      GenerationOptions options = GenerationOptions.builder().maxNewTokens(expected.length).build();
      assertThat(new Generator(model).generate(pictures, options, GenerationListener.NONE).ids())
          .isEqualTo(Ints.asList(expected));
    }
    refusedTensors(
        tensors -> tensors.put("model.image_newline", tensors.get("image_newline")),
        "are both image_newline");
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
