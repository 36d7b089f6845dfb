package io.github.lightning4j.minimax;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.nn.Activation;
import io.github.lightning4j.minimax.vision.AnyResolution;
import io.github.lightning4j.minimax.vision.ImagePreprocessor;
import io.github.lightning4j.minimax.vision.Resolution;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Reads the vision side of a MiniMax-VL-01 folder: {@code config.json} and {@code
 * preprocessor_config.json}. Defaults are those of the released processor and of CLIP; sizes have
 * none.
 */
final class VisionConfigReader {
  private static final String PREPROCESSOR = "preprocessor_config.json";
  private static final String GRIDS = "image_grid_pinpoints";

  private final JsonFile json;
  private final JsonFile vision;
  private final JsonFile processor;

  private VisionConfigReader(JsonFile json, JsonFile processor) {
    this.json = json;
    this.vision = json.object("vision_config");
    this.processor = processor;
  }

  /**
   * The vision side of a checkpoint folder; empty if its model reads text only.
   *
   * @throws CheckpointException if a file is missing, broken, or asks for something that is not
   *     done here
   */
  static Optional<VisionConfig> read(Path folder) {
    JsonFile json = JsonFile.read(folder.resolve("config.json"));
    if (!ConfigReader.isVisionLanguage(json)) {
      return Optional.empty();
    }
    Path file = folder.resolve(PREPROCESSOR);
    if (!Files.exists(file)) {
      throw new CheckpointException(
          file, "no such file; a MiniMax-VL-01 folder needs it beside config.json");
    }
    JsonFile processor = JsonFile.read(file);
    try {
      return Optional.of(new VisionConfigReader(json, processor).config());
    } catch (IllegalArgumentException e) {
      throw new CheckpointException(folder, e.getMessage(), e);
    }
  }

  private VisionConfig config() {
    json.require("vision_feature_select_strategy", "default");
    processor.require("process_image_mode", "anyres");
    vision.require("model_type", "clip_vision_model");
    vision.require("num_channels", "3");
    return new VisionConfig(
        tower(), activation(json, "projector_hidden_act", "gelu"), preprocessor(), imageToken());
  }

  private int imageToken() {
    String key = json.isPresent("image_token_index") ? "image_token_index" : "image_token_id";
    int token = json.integer(key);
    int vocabulary = json.object("text_config").integer("vocab_size");
    if (token < 0 || token >= vocabulary) {
      throw json.fault(key, "0 <= id < " + vocabulary, "" + token);
    }
    return token;
  }

  private VisionConfig.Tower tower() {
    int layers = vision.integer("num_hidden_layers");
    int state = json.integer("vision_feature_layer", -1);
    return new VisionConfig.Tower(
        vision.integer("hidden_size"),
        layers,
        state < 0 ? layers + 1 + state : state,
        vision.integer("num_attention_heads"),
        vision.integer("intermediate_size"),
        activation(vision, "hidden_act", "quick_gelu"),
        vision.number("layer_norm_eps", 1e-5),
        vision.integer("image_size"),
        vision.integer("patch_size"));
  }

  private static Activation activation(JsonFile from, String key, String otherwise) {
    String name = from.text(key, otherwise);
    return switch (name) {
      case "gelu" -> Activation.GELU;
      case "quick_gelu" -> Activation.QUICK_GELU;
      default -> throw from.fault(key, "gelu or quick_gelu", name);
    };
  }

  private ImagePreprocessor preprocessor() {
    int patch = processor.integer("patch_size", vision.integer("patch_size"));
    return new ImagePreprocessor(
        new AnyResolution(tile(), patch, canvases()),
        numbers("image_mean", ImagePreprocessor.CLIP_MEAN),
        numbers("image_std", ImagePreprocessor.CLIP_DEVIATION));
  }

  /** A number, two equal ones, or an object with them. */
  private int tile() {
    JsonNode size = processor.first("size");
    if (size == null) {
      return vision.integer("image_size");
    }
    JsonNode width = size.isArray() ? size.path(0) : size.isObject() ? size.path("width") : size;
    JsonNode height = size.isArray() ? size.path(1) : size.isObject() ? size.path("height") : size;
    if (!width.isInt() || !width.equals(height) || size.isArray() && size.size() != 2) {
      throw processor.fault("size", "the side of a square", size.toString());
    }
    return width.asInt();
  }

  /** The sizes of canvases, which both files may tell, and then alike. */
  private List<Resolution> canvases() {
    List<Resolution> told = canvases(processor);
    List<Resolution> other = canvases(json);
    if (told == null && other == null) {
      throw processor.fault(GRIDS, "a list of [width, height]", "nothing");
    }
    if (told != null && other != null && !told.equals(other)) {
      throw processor.fault(GRIDS, other + " as " + json.file().getFileName() + " has", "" + told);
    }
    return told == null ? other : told;
  }

  private static @Nullable List<Resolution> canvases(JsonFile from) {
    JsonNode pairs = from.first(GRIDS);
    if (pairs == null) {
      return null;
    }
    List<Resolution> sizes = new ArrayList<>();
    for (JsonNode pair : pairs) {
      if (pair.size() != 2 || !pair.path(0).isInt() || !pair.path(1).isInt()) {
        throw from.fault(GRIDS, "a list of [width, height]", pairs.toString());
      }
      sizes.add(new Resolution(pair.get(0).asInt(), pair.get(1).asInt()));
    }
    return sizes;
  }

  private List<Double> numbers(String key, List<Double> otherwise) {
    JsonNode list = processor.first(key);
    if (list == null) {
      return otherwise;
    }
    List<Double> numbers = new ArrayList<>();
    for (JsonNode number : list) {
      if (!number.isNumber()) {
        throw processor.fault(key, "3 numbers", list.toString());
      }
      numbers.add(number.asDouble());
    }
    return numbers;
  }
}
