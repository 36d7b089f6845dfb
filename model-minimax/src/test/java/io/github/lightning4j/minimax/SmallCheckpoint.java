package io.github.lightning4j.minimax;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.SafetensorsWriter;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.minimax.internal.WeightPlan;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/**
 * A checkpoint of two layers, one of each kind, whose heads a GPU has, so small that passes of
 * hundreds of tokens take no time where a GPU is emulated: 32 channels, two heads of 32 on one
 * key-value head, two of five experts.
 */
final class SmallCheckpoint {
  static final int VOCABULARY = 96;

  /** Bytes of a page of keys and values in BF16. */
  static final long PAGE = 64 * 2 * 32 * 2;

  private static final String CONFIG =
      """
      {"model_type": "minimax", "architectures": ["MiniMaxForCausalLM"], "hidden_size": 32,
       "num_hidden_layers": 2, "layer_types": ["linear_attention", "full_attention"],
       "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32, "block_size": 32,
       "num_local_experts": 5, "num_experts_per_tok": 2, "intermediate_size": 16,
       "vocab_size": 96, "max_position_embeddings": 4096, "rms_norm_eps": 1e-05,
       "hidden_act": "silu", "tie_word_embeddings": false, "sliding_window": null,
       "linear_attn_alpha_factor": 1.5, "full_attn_alpha_factor": 1.5, "mlp_alpha_factor": 1.5,
       "linear_attn_beta_factor": 1.0, "full_attn_beta_factor": 1.0, "mlp_beta_factor": 1.0,
       "rope_parameters": {"rope_theta": 10000000.0, "rope_type": "default"}}
      """;

  private SmallCheckpoint() {}

  /**
   * Writes it.
   *
   * @param fused whether the experts of a layer are two tensors
   * @param without tensors that are left out
   */
  static Path write(Path folder, boolean fused, String... without) {
    try (MemoryScope scope = new MemoryScope()) {
      Files.createDirectories(folder);
      Files.writeString(folder.resolve("config.json"), CONFIG);
      Set<String> names =
          fused ? Set.of("model.layers.0.mlp.experts.gate_up_proj") : Set.<String>of();
      Map<String, Tensor> tensors = new LinkedHashMap<>();
      WeightPlan.of(MiniMaxConfig.load(folder), names)
          .entries()
          .forEach((name, entry) -> tensors.put(name, scope.add(random(name, entry))));
      Set.of(without).forEach(tensors::remove);
      SafetensorsWriter.write(folder.resolve("model.safetensors"), tensors, Map.of());
      return folder;
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static Tensor random(String name, WeightPlan.Entry entry) {
    Tensor tensor = Cases.normal(name.hashCode(), DType.BF16, entry.shape());
    Elements elements = tensor.accessor();
    double scale = 1 / Math.sqrt(entry.shape()[entry.shape().length - 1]);
    boolean norm = entry.role() == WeightRole.NORM;
    for (long i = 0; i < tensor.elements(); i++) {
      elements.set(i, norm ? 1 + 0.1 * elements.get(i) : scale * elements.get(i));
    }
    return tensor;
  }
}
