package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.WeightRole;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * Which tensors a checkpoint of a config holds, by name, with shape and role.
 *
 * <p>Two layouts: the released one with a tensor per expert matrix (also what transformers saves by
 * default), and the fused one of transformers in memory. Checkpoints saved by transformers carry
 * decay buffers as well; they are recomputed, never read.
 */
public final class WeightPlan {
  private static final Predicate<String> DERIVED =
      Pattern.compile(
              "model\\.layers\\.\\d+\\.self_attn\\."
                  + "(slope_rate|query_decay|key_decay|diagonal_decay|rotary_emb\\.inv_freq)"
                  + "|model\\.rotary_emb\\.inv_freq")
          .asMatchPredicate();

  /** Gate and up projections of all experts of a layer, in the fused layout. */
  private static final String GATE_UP = "mlp.experts.gate_up_proj";

  /**
   * One tensor.
   *
   * @param role what it is for
   * @param shape its shape
   */
  public record Entry(WeightRole role, long... shape) {
    /** The number of parameters. */
    public long parameters() {
      return Arrays.stream(shape).reduce(1, Math::multiplyExact);
    }
  }

  private final MiniMaxConfig config;
  private final boolean fused;
  private final long shared;
  private final Map<String, Entry> entries = new LinkedHashMap<>();

  private WeightPlan(MiniMaxConfig config, boolean fused, long shared) {
    this.config = config;
    this.fused = fused;
    this.shared = shared;
    long vocab = config.vocabSize();
    long hidden = config.hiddenSize();
    put("model.embed_tokens.weight", WeightRole.EMBEDDING, vocab, hidden);
    for (int i = 0; i < config.layers().size(); i++) {
      layer(i);
    }
    put("model.norm.weight", WeightRole.NORM, hidden);
    if (!config.tiedEmbeddings()) {
      put("lm_head.weight", WeightRole.HEAD, vocab, hidden);
    }
  }

  /** The plan of a config; the layout is told by the names that a checkpoint has. */
  public static WeightPlan of(MiniMaxConfig config, Set<String> names) {
    return of(config, names, config.experts().sharedIntermediateSize());
  }

  /**
   * The plan where the shared expert has another size than the config says: the released model code
   * sizes it by {@code intermediate_size}.
   */
  static WeightPlan of(MiniMaxConfig config, Set<String> names, long sharedSize) {
    boolean fused = names.contains("model.layers.0." + GATE_UP);
    return new WeightPlan(config, fused, sharedSize);
  }

  /** The tensors by name, in the order of the forward pass. */
  public Map<String, Entry> entries() {
    return entries;
  }

  /** Whether the experts of a layer are one tensor. */
  public boolean isFused() {
    return fused;
  }

  /** The number of matrices in a tensor: more than one where experts are fused. */
  public long matrices(String name) {
    long[] shape = entries.get(name).shape();
    if (shape.length < 3) {
      return 1;
    }
    return name.endsWith(GATE_UP) ? 2 * shape[0] : shape[0];
  }

  /** Whether a tensor that is not in the plan may be there all the same. */
  public boolean mayIgnore(String name) {
    return DERIVED.test(name) || (config.tiedEmbeddings() && name.equals("lm_head.weight"));
  }

  private void layer(int i) {
    String layer = "model.layers." + i + ".";
    long hidden = config.hiddenSize();
    put(layer + "input_layernorm.weight", WeightRole.NORM, hidden);
    if (config.layers().get(i) == LayerKind.LIGHTNING) {
      lightning(layer + "self_attn.");
    } else {
      softmax(layer + "self_attn.");
    }
    put(layer + "post_attention_layernorm.weight", WeightRole.NORM, hidden);
    experts(layer);
    if (shared > 0) {
      put(layer + "shared_mlp.gate_proj.weight", WeightRole.SHARED_EXPERT, shared, hidden);
      put(layer + "shared_mlp.up_proj.weight", WeightRole.SHARED_EXPERT, shared, hidden);
      put(layer + "shared_mlp.down_proj.weight", WeightRole.SHARED_EXPERT, hidden, shared);
      put(layer + "coefficient.weight", WeightRole.SHARED_EXPERT, 1, hidden);
    }
  }

  private void lightning(String attention) {
    long hidden = config.hiddenSize();
    long width = config.attention().width();
    put(attention + "qkv_proj.weight", WeightRole.ATTENTION, 3 * width, hidden);
    put(attention + "output_gate.weight", WeightRole.ATTENTION, width, hidden);
    put(attention + "norm.weight", WeightRole.NORM, width);
    put(attention + "out_proj.weight", WeightRole.ATTENTION, hidden, width);
  }

  private void softmax(String attention) {
    long hidden = config.hiddenSize();
    long width = config.attention().width();
    long kvWidth = config.attention().kvWidth();
    put(attention + "q_proj.weight", WeightRole.ATTENTION, width, hidden);
    put(attention + "k_proj.weight", WeightRole.ATTENTION, kvWidth, hidden);
    put(attention + "v_proj.weight", WeightRole.ATTENTION, kvWidth, hidden);
    put(attention + "o_proj.weight", WeightRole.ATTENTION, hidden, width);
  }

  private void experts(String layer) {
    long hidden = config.hiddenSize();
    long inner = config.experts().intermediateSize();
    long count = config.experts().experts();
    if (fused) {
      put(layer + "mlp.gate.weight", WeightRole.ROUTER, count, hidden);
      put(layer + GATE_UP, WeightRole.EXPERT, count, 2 * inner, hidden);
      put(layer + "mlp.experts.down_proj", WeightRole.EXPERT, count, hidden, inner);
      return;
    }
    put(layer + "block_sparse_moe.gate.weight", WeightRole.ROUTER, count, hidden);
    for (long e = 0; e < count; e++) {
      String expert = layer + "block_sparse_moe.experts." + e + ".";
      put(expert + "w1.weight", WeightRole.EXPERT, inner, hidden);
      put(expert + "w2.weight", WeightRole.EXPERT, hidden, inner);
      put(expert + "w3.weight", WeightRole.EXPERT, inner, hidden);
    }
  }

  private void put(String name, WeightRole role, long... shape) {
    entries.put(name, new Entry(role, shape));
  }
}
