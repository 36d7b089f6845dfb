package io.github.lightning4j.examples.command;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.TreeMap;

/**
 * A Llama as a model of softmax layers alone: norm before each part, residuals of weight 1, and an
 * MLP that is the one expert of its layer.
 */
final class LlamaCheckpoint {
  private static final Map<String, String> EXPERT =
      Map.of("mlp.gate_proj", "w1", "mlp.down_proj", "w2", "mlp.up_proj", "w3");

  private LlamaCheckpoint() {}

  /** Writes config and weights of such a model to a folder. */
  static Path convert(Path llama, Path to) throws IOException {
    JsonNode config = Repository.json(llama.resolve("config.json"));
    Files.writeString(to.resolve("config.json"), config(config).toString());
    int layers = config.required("num_hidden_layers").asInt();
    long hidden = config.required("hidden_size").asLong();
    try (SafetensorsFile from = SafetensorsFile.open(llama.resolve("model.safetensors"));
        Tensor router = Tensor.allocate(DType.F32, 1, hidden)) {
      Map<String, Tensor> tensors = new TreeMap<>();
      for (String name : from.names()) {
        tensors.put(renamed(name), from.tensor(name));
      }
      for (int layer = 0; layer < layers; layer++) {
        tensors.put("model.layers." + layer + ".block_sparse_moe.gate.weight", router);
      }
      SafetensorsWriter.write(to.resolve("model.safetensors"), tensors, Map.of());
    }
    return to;
  }

  private static String renamed(String name) {
    for (Map.Entry<String, String> part : EXPERT.entrySet()) {
      if (name.contains(part.getKey())) {
        return name.replace(part.getKey(), "block_sparse_moe.experts.0." + part.getValue());
      }
    }
    return name;
  }

  private static ObjectNode config(JsonNode llama) {
    ObjectNode config = JsonMapper.builder().build().createObjectNode();
    for (String same :
        new String[] {
          "head_dim",
          "hidden_act",
          "hidden_size",
          "intermediate_size",
          "max_position_embeddings",
          "num_attention_heads",
          "num_hidden_layers",
          "num_key_value_heads",
          "rms_norm_eps",
          "tie_word_embeddings",
          "vocab_size"
        }) {
      config.set(same, llama.required(same));
    }
    config.put("model_type", "minimax_text_01");
    config.put("rotary_dim", llama.required("head_dim").asInt());
    config.set("rope_theta", llama.required("rope_parameters").required("rope_theta"));
    config.put("num_local_experts", 1).put("num_experts_per_tok", 1).put("postnorm", false);
    for (String part : new String[] {"linear_attention", "full_attention", "mlp"}) {
      config.put("layernorm_" + part + "_alpha", 1).put("layernorm_" + part + "_beta", 1);
    }
    for (int layer = 0; layer < llama.required("num_hidden_layers").asInt(); layer++) {
      config.withArray("attn_type_list").add(1);
    }
    return config;
  }
}
