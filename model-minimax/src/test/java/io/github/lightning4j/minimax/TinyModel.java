package io.github.lightning4j.minimax;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * A model of random weights whose heads a GPU has, so small that passes of hundreds of tokens take
 * no time where a GPU is emulated: a lightning and a softmax layer, 64 channels, two heads of 32 on
 * one key-value head, two of four experts.
 */
final class TinyModel {
  static final int VOCABULARY = 16;

  /** Bytes of a page of keys and values in BF16. */
  static final long PAGE = 64 * 2 * 32 * 2;

  private static final int HIDDEN = 64;
  private static final int EXPERT = 32;
  private static final String CONFIG =
      """
      {
       "architectures": ["MiniMaxM1ForCausalLM"], "model_type": "minimax_m1",
       "attn_type_list": [0, 1], "head_dim": 32, "hidden_act": "silu", "hidden_size": 64,
       "intermediate_size": 32, "layernorm_full_attention_alpha": 1.5,
       "layernorm_full_attention_beta": 1.0, "layernorm_linear_attention_alpha": 1.5,
       "layernorm_linear_attention_beta": 1.0, "layernorm_mlp_alpha": 1.5,
       "layernorm_mlp_beta": 1.0, "max_position_embeddings": 512, "num_attention_heads": 2,
       "num_experts_per_tok": 2, "num_hidden_layers": 2, "num_key_value_heads": 1,
       "num_local_experts": 4, "postnorm": true, "rms_norm_eps": 1e-05, "rope_theta": 10000,
       "rotary_dim": 32, "shared_intermediate_size": %d, "shared_moe_mode": "sigmoid",
       "tie_word_embeddings": false, "vocab_size": 16
      }
      """;

  private final MemoryScope scope = new MemoryScope();
  private final Map<String, Tensor> tensors = new TreeMap<>();
  private final Random random = new Random(5);

  private TinyModel() {}

  /**
   * Writes the model to a folder.
   *
   * @param shared channels of the shared expert; 0 for none
   */
  static Path write(Path folder, int shared) throws IOException {
    TinyModel model = new TinyModel();
    try (model.scope) {
      model.fill(shared);
      Files.writeString(folder.resolve("config.json"), CONFIG.formatted(shared));
      SafetensorsWriter.write(folder.resolve("model.safetensors"), model.tensors, Map.of());
    }
    return folder;
  }

  private void fill(int shared) {
    put("model.embed_tokens", VOCABULARY, HIDDEN);
    put("lm_head", VOCABULARY, HIDDEN);
    ones("model.norm");
    for (int i = 0; i < 2; i++) {
      String layer = "model.layers." + i + ".";
      ones(layer + "input_layernorm");
      ones(layer + "post_attention_layernorm");
      put(layer + "block_sparse_moe.gate", 4, HIDDEN);
      for (int e = 0; e < 4; e++) {
        String expert = layer + "block_sparse_moe.experts." + e + ".";
        put(expert + "w1", EXPERT, HIDDEN);
        put(expert + "w3", EXPERT, HIDDEN);
        put(expert + "w2", HIDDEN, EXPERT);
      }
      if (shared > 0) {
        put(layer + "shared_mlp.gate_proj", shared, HIDDEN);
        put(layer + "shared_mlp.up_proj", shared, HIDDEN);
        put(layer + "shared_mlp.down_proj", HIDDEN, shared);
        put(layer + "coefficient", 1, HIDDEN);
      }
    }
    String lightning = "model.layers.0.self_attn.";
    put(lightning + "qkv_proj", 3 * HIDDEN, HIDDEN);
    put(lightning + "output_gate", HIDDEN, HIDDEN);
    put(lightning + "out_proj", HIDDEN, HIDDEN);
    ones(lightning + "norm");
    String softmax = "model.layers.1.self_attn.";
    put(softmax + "q_proj", HIDDEN, HIDDEN);
    put(softmax + "k_proj", 32, HIDDEN);
    put(softmax + "v_proj", 32, HIDDEN);
    put(softmax + "o_proj", HIDDEN, HIDDEN);
  }

  private void put(String name, long rows, long columns) {
    Tensor weight = scope.allocate(DType.BF16, rows, columns);
    for (long i = 0; i < weight.elements(); i++) {
      weight.accessor().set(i, random.nextGaussian() * 0.2);
    }
    tensors.put(name + ".weight", weight);
  }

  private void ones(String name) {
    Tensor weight = scope.allocate(DType.BF16, HIDDEN);
    for (long i = 0; i < HIDDEN; i++) {
      weight.accessor().set(i, 1);
    }
    tensors.put(name + ".weight", weight);
  }
}
