package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.SharedWeights;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Finds each tensor of the plan in a checkpoint, checks type and shape, and refuses strangers. */
public final class WeightBinder {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final MiniMaxConfig config;
  private final Safetensors source;
  private final WeightPlan plan;

  private WeightBinder(MiniMaxConfig config, Safetensors source) {
    this.config = config;
    this.source = source;
    this.plan = WeightPlan.of(config, source.names(), sharedSize(config, source));
  }

  /** As the config says, or else as the released code does it, where the tensor is of that size. */
  private static long sharedSize(MiniMaxConfig config, Safetensors source) {
    long told = config.experts().sharedIntermediateSize();
    String gate = "model.layers.0.shared_mlp.gate_proj.weight";
    if (told == 0 || !source.names().contains(gate)) {
      return told;
    }
    long[] shape = source.info(gate).shape();
    long released = config.experts().intermediateSize();
    return shape.length == 2 && shape[0] == released ? released : told;
  }

  /**
   * Binds all weights.
   *
   * @param progress told after every layer
   * @throws CheckpointException if a tensor is missing, unexpected, or of another shape or type
   */
  public static ModelWeights bind(
      MiniMaxConfig config, Safetensors source, ProgressListener progress) {
    WeightBinder binder = new WeightBinder(config, source);
    binder.refuseStrangers();
    Tensor embedding = binder.get("model.embed_tokens.weight");
    List<ModelWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers().size(); i++) {
      layers.add(binder.layer(i));
      progress.progress(i + 1L, config.layers().size());
    }
    Tensor head = config.tiedEmbeddings() ? embedding : binder.get("lm_head.weight");
    return new ModelWeights(embedding, layers, binder.get("model.norm.weight"), head);
  }

  private void refuseStrangers() {
    for (String name : source.names()) {
      if (!plan.entries().containsKey(name) && !plan.mayIgnore(name)) {
        throw new CheckpointException(
            source.path(),
            "unexpected tensor "
                + name
                + "; the config asks for "
                + plan.entries().size()
                + " tensors of which this is none");
      }
    }
  }

  private ModelWeights.Layer layer(int i) {
    String layer = "model.layers." + i + ".";
    return new ModelWeights.Layer(
        get(layer + "input_layernorm.weight"),
        config.layers().get(i) == LayerKind.LIGHTNING
            ? lightning(layer + "self_attn.")
            : softmax(layer + "self_attn."),
        get(layer + "post_attention_layernorm.weight"),
        new ModelWeights.Moe(
            get(layer + (plan.isFused() ? "mlp.gate.weight" : "block_sparse_moe.gate.weight")),
            experts(layer),
            shared(layer)));
  }

  private ModelWeights.Attention lightning(String attention) {
    return new ModelWeights.Lightning(
        get(attention + "qkv_proj.weight"),
        get(attention + "output_gate.weight"),
        get(attention + "norm.weight"),
        get(attention + "out_proj.weight"));
  }

  private ModelWeights.Attention softmax(String attention) {
    return new ModelWeights.Softmax(
        get(attention + "q_proj.weight"),
        get(attention + "k_proj.weight"),
        get(attention + "v_proj.weight"),
        get(attention + "o_proj.weight"));
  }

  private ExpertWeights experts(String layer) {
    if (plan.isFused()) {
      return ExpertWeights.ofFused(
          get(layer + "mlp.experts.gate_up_proj"), get(layer + "mlp.experts.down_proj"));
    }
    List<Tensor> gate = new ArrayList<>();
    List<Tensor> up = new ArrayList<>();
    List<Tensor> down = new ArrayList<>();
    for (int e = 0; e < config.experts().experts(); e++) {
      String expert = layer + "block_sparse_moe.experts." + e + ".";
      gate.add(get(expert + "w1.weight"));
      up.add(get(expert + "w3.weight"));
      down.add(get(expert + "w2.weight"));
    }
    return new ExpertWeights(gate, up, down);
  }

  private @Nullable SharedWeights shared(String layer) {
    if (config.experts().sharedIntermediateSize() == 0) {
      return null;
    }
    return new SharedWeights(
        get(layer + "shared_mlp.gate_proj.weight"),
        get(layer + "shared_mlp.up_proj.weight"),
        get(layer + "shared_mlp.down_proj.weight"),
        get(layer + "coefficient.weight"));
  }

  private Tensor get(String name) {
    if (!source.names().contains(name)) {
      throw new CheckpointException(source.path(), "missing tensor " + name);
    }
    Tensor tensor = source.tensor(name);
    long[] expected = plan.entries().get(name).shape();
    if (!Arrays.equals(tensor.shape(), expected)) {
      throw new CheckpointException(
          source.path(),
          name
              + ": expected shape "
              + Arrays.toString(expected)
              + " by the config, got "
              + Arrays.toString(tensor.shape()));
    }
    if (!TYPES.contains(tensor.dtype())) {
      throw new CheckpointException(
          source.path(), name + ": expected dtype in " + TYPES + ", got " + tensor.dtype());
    }
    return tensor;
  }
}
