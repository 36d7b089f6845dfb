package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.core.safetensors.TensorInfo;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Finds the vision weights of a checkpoint, and refuses what is neither of these nor text. */
public final class VisionBinder {
  /** What the names of the text model's tensors begin with. */
  public static final String TEXT = "language_model.";

  static final String TOWER = "vision_tower.vision_model.";
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  /** Saved by some writers, used by no layer: the feature is taken before this norm. */
  private static final Set<String> UNUSED =
      Set.of(
          TOWER + "post_layernorm.weight",
          TOWER + "post_layernorm.bias",
          TOWER + "embeddings.position_ids");

  private final Safetensors source;
  private final MemoryScope made;
  private final Map<String, Tensor> held = new LinkedHashMap<>();

  private VisionBinder(Safetensors source, MemoryScope made) {
    this.source = source;
    this.made = made;
  }

  /**
   * Weights and the stored tensors they come from.
   *
   * @param weights the weights
   * @param held tensors of the checkpoint by name
   */
  public record Bound(VisionWeights weights, Map<String, Tensor> held) {
    /** The number of parameters. */
    public long parameters() {
      return held.values().stream().mapToLong(Tensor::elements).sum();
    }
  }

  /**
   * Binds all weights.
   *
   * @param hidden H, channels of the text model
   * @param made owns what is widened; the caller closes it, also after a failure
   * @throws CheckpointException if a tensor is missing, unexpected, or of another shape or type
   */
  public static Bound bind(VisionConfig config, int hidden, Safetensors source, MemoryScope made) {
    VisionBinder binder = new VisionBinder(source, made);
    VisionWeights weights = binder.weights(config.tower(), hidden);
    for (String name : source.names()) {
      if (!name.startsWith(TEXT) && !binder.held.containsKey(name) && !UNUSED.contains(name)) {
        throw new CheckpointException(
            source.path(),
            "unexpected tensor "
                + name
                + "; expected "
                + TEXT
                + "... and the "
                + binder.held.size()
                + " tensors of the vision side");
      }
    }
    return new Bound(weights, binder.held);
  }

  private VisionWeights weights(VisionConfig.Tower tower, int hidden) {
    int channels = tower.hiddenSize();
    int patch = tower.patchSize();
    String embeddings = TOWER + "embeddings.";
    List<VisionWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < tower.layers(); i++) {
      layers.add(layer(TOWER + "encoder.layers." + i + ".", tower));
    }
    Tensor patches = stored(embeddings + "patch_embedding.weight", channels, 3, patch, patch);
    return new VisionWeights(
        patches.reshape(channels, 3L * patch * patch),
        widened(embeddings + "class_embedding", channels),
        widened(embeddings + "position_embedding.weight", 1L + tower.patches(), channels),
        norm(TOWER + "pre_layrnorm", channels),
        layers,
        linear("multi_modal_projector.linear_1", hidden, channels),
        linear("multi_modal_projector.linear_2", hidden, hidden),
        widened("image_newline", hidden));
  }

  private VisionWeights.Layer layer(String layer, VisionConfig.Tower tower) {
    int channels = tower.hiddenSize();
    int inner = tower.intermediateSize();
    String attention = layer + "self_attn.";
    return new VisionWeights.Layer(
        norm(layer + "layer_norm1", channels),
        linear(attention + "q_proj", channels, channels),
        linear(attention + "k_proj", channels, channels),
        linear(attention + "v_proj", channels, channels),
        linear(attention + "out_proj", channels, channels),
        norm(layer + "layer_norm2", channels),
        linear(layer + "mlp.fc1", inner, channels),
        linear(layer + "mlp.fc2", channels, inner));
  }

  private VisionWeights.Norm norm(String name, long channels) {
    return new VisionWeights.Norm(
        widened(name + ".weight", channels), widened(name + ".bias", channels));
  }

  private VisionWeights.Linear linear(String name, long outputs, long inputs) {
    return new VisionWeights.Linear(
        stored(name + ".weight", outputs, inputs), widened(name + ".bias", outputs));
  }

  private Tensor widened(String name, long... shape) {
    Tensor wide = made.allocate(DType.F32, shape);
    wide.copyFrom(stored(name, shape));
    return wide;
  }

  private Tensor stored(String name, long... shape) {
    if (!source.names().contains(name)) {
      throw new CheckpointException(source.path(), "missing tensor " + name);
    }
    TensorInfo info = source.info(name);
    if (!Arrays.equals(info.shape(), shape)) {
      throw new CheckpointException(
          source.path(),
          name
              + ": expected shape "
              + Arrays.toString(shape)
              + " by the config, got "
              + Arrays.toString(info.shape()));
    }
    if (info.dtype() == null || !TYPES.contains(info.dtype())) {
      throw new CheckpointException(
          source.path(), name + ": expected dtype in " + TYPES + ", got " + info.type());
    }
    Tensor tensor = source.tensor(name);
    held.put(name, tensor);
    return tensor;
  }
}
