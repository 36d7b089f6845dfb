package io.github.lightning4j.minimax;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.minimax.MiniMaxConfig.AttentionConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.Dialect;
import io.github.lightning4j.minimax.MiniMaxConfig.ExpertConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.MiniMaxConfig.Mix;
import io.github.lightning4j.minimax.MiniMaxConfig.ResidualConfig;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Reads {@code config.json} in either dialect. Defaults are those of the dialect's own code. */
final class ConfigReader {
  private static final Set<String> ORIGINAL =
      Set.of("minimax_m1", "minimax_text_01", "MiniMaxM1", "MiniMaxText01");
  private static final Set<String> TRANSFORMERS = Set.of("minimax");

  /** The text model is an object within the file; what it does not say may be said beside it. */
  private static final String VISION_LANGUAGE = "minimax_vl_01";

  private final JsonFile json;
  private final JsonFile around;
  private final Dialect dialect;

  private ConfigReader(JsonFile json, JsonFile around) {
    this.json = json;
    this.around = around;
    this.dialect = dialect(json, json == around ? "(none)" : "minimax_text_01");
  }

  /** Whether a config is that of MiniMax-VL-01. */
  static boolean isVisionLanguage(JsonFile json) {
    return json.text("model_type", "").equals(VISION_LANGUAGE);
  }

  static MiniMaxConfig read(Path file) {
    JsonFile json = JsonFile.read(file);
    JsonFile text = isVisionLanguage(json) ? json.object("text_config") : json;
    try {
      return new ConfigReader(text, json).config();
    } catch (IllegalArgumentException e) {
      throw new CheckpointException(file, e.getMessage(), e);
    }
  }

  private static Dialect dialect(JsonFile json, String otherwise) {
    String type = json.text("model_type", otherwise);
    if (ORIGINAL.contains(type)) {
      return Dialect.ORIGINAL;
    }
    if (TRANSFORMERS.contains(type)) {
      return Dialect.TRANSFORMERS;
    }
    throw json.fault(
        "model_type",
        "one of " + ORIGINAL + " or " + TRANSFORMERS + ", or " + VISION_LANGUAGE,
        type);
  }

  private MiniMaxConfig config() {
    json.require("hidden_act", "silu");
    if (json.isPresent("sliding_window")) {
      throw json.fault("sliding_window", "null", json.text("sliding_window", ""));
    }
    return new MiniMaxConfig(
        dialect,
        json.integer("vocab_size"),
        json.integer("hidden_size"),
        layers(),
        attention(),
        experts(),
        residuals(),
        json.number("rms_norm_eps", 1e-5),
        json.integer("max_position_embeddings"),
        said("tie_word_embeddings").flag("tie_word_embeddings", false),
        said("eos_token_id").integers("eos_token_id"));
  }

  private JsonFile said(String key) {
    return json.isPresent(key) ? json : around;
  }

  private List<LayerKind> layers() {
    int count = json.integer("num_hidden_layers");
    JsonNode named = json.first("attn_type_list", "decoder_attention_types", "layer_types");
    List<LayerKind> kinds = new ArrayList<>();
    if (named == null) {
      if (dialect == Dialect.ORIGINAL) {
        throw json.fault("attn_type_list", "a list of " + count + " kinds", "nothing");
      }
      for (int i = 0; i < count; i++) {
        kinds.add(i % 2 == 0 ? LayerKind.SOFTMAX : LayerKind.LIGHTNING);
      }
      return kinds;
    }
    named.forEach(kind -> kinds.add(kind(kind.asText())));
    if (kinds.size() != count) {
      throw json.fault("num_hidden_layers", kinds.size() + " as there are kinds", "" + count);
    }
    return kinds;
  }

  private LayerKind kind(String name) {
    return switch (name) {
      case "0", "linear_attention" -> LayerKind.LIGHTNING;
      case "1", "full_attention" -> LayerKind.SOFTMAX;
      default ->
          throw json.fault(
              "attention kind of a layer", "0 or linear_attention, 1 or full_attention", name);
    };
  }

  private AttentionConfig attention() {
    int heads = json.integer("num_attention_heads");
    int hidden = json.integer("hidden_size");
    int headDim = json.integer("head_dim", hidden / Math.max(1, heads));
    JsonNode rope = rope();
    double theta =
        rope != null && rope.hasNonNull("rope_theta")
            ? rope.get("rope_theta").asDouble()
            : json.number("rope_theta", 1e6);
    return new AttentionConfig(
        heads, json.integer("num_key_value_heads"), headDim, rotaryDim(headDim, rope), theta);
  }

  /** The rotary settings of transformers, which must ask for nothing but the plain embedding. */
  private @Nullable JsonNode rope() {
    JsonNode rope = json.first("rope_parameters", "rope_scaling");
    if (rope == null) {
      return null;
    }
    if (!rope.isObject()) {
      throw json.fault("rope_parameters", "an object", rope.toString());
    }
    for (String key : List.of("rope_type", "type")) {
      String type = JsonFile.text(rope, key, "default");
      if (!type.equals("default")) {
        throw json.fault(key + " of the rotary embedding", "default", type);
      }
    }
    return rope;
  }

  private int rotaryDim(int headDim, @Nullable JsonNode rope) {
    if (json.isPresent("rotary_dim")) {
      return json.integer("rotary_dim");
    }
    if (rope != null && rope.hasNonNull("partial_rotary_factor")) {
      return (int) (headDim * rope.get("partial_rotary_factor").asDouble());
    }
    return (int) (headDim * json.number("partial_rotary_factor", 1));
  }

  private ExpertConfig experts() {
    int shared = json.uniformInteger("shared_intermediate_size", 0);
    if (shared > 0) {
      json.require("shared_moe_mode", "sigmoid");
    }
    String experts = json.isPresent("num_local_experts") ? "num_local_experts" : "num_experts";
    return new ExpertConfig(
        json.uniformInteger(experts),
        json.integer("num_experts_per_tok"),
        json.integer("intermediate_size"),
        shared);
  }

  private ResidualConfig residuals() {
    if (dialect == Dialect.TRANSFORMERS) {
      return new ResidualConfig(
          true,
          mix("linear_attn_alpha_factor", "linear_attn_beta_factor"),
          mix("full_attn_alpha_factor", "full_attn_beta_factor"),
          mix("mlp_alpha_factor", "mlp_beta_factor"));
    }
    return new ResidualConfig(
        json.flag("postnorm", false),
        mix("layernorm_linear_attention_alpha", "layernorm_linear_attention_beta"),
        mix("layernorm_full_attention_alpha", "layernorm_full_attention_beta"),
        mix("layernorm_mlp_alpha", "layernorm_mlp_beta"));
  }

  private Mix mix(String alpha, String beta) {
    return new Mix(json.number(alpha, 1), json.number(beta, 1));
  }
}
