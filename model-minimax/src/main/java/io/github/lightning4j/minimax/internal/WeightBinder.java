package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.core.safetensors.Safetensors;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.ProgressListener;
import io.github.lightning4j.minimax.WeightFormats;
import io.github.lightning4j.minimax.WeightPlacement;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.SharedWeights;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Puts the weights of a checkpoint together, each in the format of its role. */
public final class WeightBinder {
  private final MiniMaxConfig config;
  private final boolean fused;
  private final ExpertRange range;
  private final FormattedWeights weights;

  private WeightBinder(
      MiniMaxConfig config, boolean fused, ExpertRange range, FormattedWeights weights) {
    this.config = config;
    this.fused = fused;
    this.range = range;
    this.weights = weights;
  }

  /**
   * Weights and the memory they take.
   *
   * @param weights the weights
   * @param held what is in memory, by the names of the released layout
   * @param read quantized matrices that the checkpoint holds, by the same names
   */
  public record Bound(
      ModelWeights weights, Map<String, Tensor> held, Map<String, QuantizedMatrix> read) {}

  /**
   * How weights are to be held.
   *
   * @param formats the format of each role
   * @param experts those that are wanted
   * @param coded whether the checkpoint holds them in these formats already
   * @param placement where those lie that stay as they are stored
   * @param available bytes of memory that may be filled
   */
  public record Wish(
      WeightFormats formats,
      ExpertRange experts,
      boolean coded,
      WeightPlacement placement,
      long available) {}

  /**
   * Binds all weights.
   *
   * @param wish how they are to be held
   * @param made owns what is made; the caller closes it, also after a failure
   * @param progress told after every layer
   * @throws io.github.lightning4j.core.CheckpointException if a tensor is missing, unexpected, or
   *     of another shape or type, or has a weight that cannot be coded
   * @throws OutOfNativeMemoryException if there is not enough memory for what is to be made
   */
  public static Bound bind(
      MiniMaxConfig config,
      Safetensors source,
      Wish wish,
      MemoryScope made,
      ProgressListener progress) {
    PlannedTensors planned = new PlannedTensors(config, source, wish.experts());
    long anew = wish.coded() ? 0 : planned.newBytes(wish.formats());
    Room room = room(wish, planned.bytes(wish.formats()), anew);
    made.add(room.arena());
    FormattedWeights weights =
        new FormattedWeights(
            planned, wish.formats(), wish.coded(), room.copied(), made, room.arena());
    WeightBinder binder =
        new WeightBinder(config, planned.plan().isFused(), wish.experts(), weights);
    return new Bound(binder.model(progress), weights.held(), weights.read());
  }

  /**
   * Memory for what is to be made.
   *
   * @param copied whether there is room for all weights
   */
  record Room(boolean copied, WeightArena arena) {}

  /**
   * Takes the memory; where the choice is ours, a refusal to copy all leaves weights mapped.
   *
   * @param all bytes of all weights
   * @param anew bytes of those that are not stored in their format
   */
  static Room room(Wish wish, long all, long anew) {
    boolean ours = wish.placement() == WeightPlacement.AUTO;
    if (wish.placement() == WeightPlacement.COPIED || (ours && all <= wish.available() / 2)) {
      OutOfNativeMemoryException.check(
          "weights as " + wish.formats(), all, wish.available(), wayOut(wish));
      try {
        return new Room(true, new WeightArena(all));
      } catch (OutOfNativeMemoryException e) {
        if (!ours) {
          throw e;
        }
      }
    }
    OutOfNativeMemoryException.check(
        "weights as " + wish.formats(), anew, wish.available(), wayOut(wish));
    return new Room(false, new WeightArena(anew));
  }

  private static String wayOut(Wish wish) {
    return wish.coded()
        ? "leave the weights mapped"
        : "use a smaller format, or a checkpoint that minimax quantize wrote, which can be mapped";
  }

  private ModelWeights model(ProgressListener progress) {
    WeightMatrix embedding = weights.matrix("model.embed_tokens.weight");
    List<ModelWeights.Layer> layers = new ArrayList<>();
    for (int i = 0; i < config.layers().size(); i++) {
      layers.add(layer(i));
      progress.progress(i + 1L, config.layers().size());
    }
    WeightMatrix head = config.tiedEmbeddings() ? embedding : weights.matrix("lm_head.weight");
    return new ModelWeights(embedding, layers, weights.plain("model.norm.weight"), head);
  }

  private ModelWeights.Layer layer(int i) {
    String layer = "model.layers." + i + ".";
    String router = layer + "block_sparse_moe.gate.weight";
    return new ModelWeights.Layer(
        weights.plain(layer + "input_layernorm.weight"),
        config.layers().get(i) == LayerKind.LIGHTNING
            ? lightning(layer + "self_attn.")
            : softmax(layer + "self_attn."),
        weights.plain(layer + "post_attention_layernorm.weight"),
        new ModelWeights.Moe(
            weights.plain(fused ? layer + "mlp.gate.weight" : router, router),
            experts(layer),
            shared(layer)));
  }

  private ModelWeights.Attention lightning(String attention) {
    return new ModelWeights.Lightning(
        weights.matrix(attention + "qkv_proj.weight"),
        weights.matrix(attention + "output_gate.weight"),
        weights.plain(attention + "norm.weight"),
        weights.matrix(attention + "out_proj.weight"));
  }

  private ModelWeights.Attention softmax(String attention) {
    return new ModelWeights.Softmax(
        weights.matrix(attention + "q_proj.weight"),
        weights.matrix(attention + "k_proj.weight"),
        weights.matrix(attention + "v_proj.weight"),
        weights.matrix(attention + "o_proj.weight"));
  }

  private Experts experts(String layer) {
    String released = layer + "block_sparse_moe.experts.";
    if (fused) {
      String experts = layer + "mlp.experts.";
      return weights.fusedExperts(experts + "gate_up_proj", experts + "down_proj", released, range);
    }
    return weights.experts(released, range);
  }

  private @Nullable SharedWeights shared(String layer) {
    if (config.experts().sharedIntermediateSize() == 0) {
      return null;
    }
    return new SharedWeights(
        weights.plain(layer + "shared_mlp.gate_proj.weight"),
        weights.plain(layer + "shared_mlp.up_proj.weight"),
        weights.plain(layer + "shared_mlp.down_proj.weight"),
        weights.plain(layer + "coefficient.weight"));
  }
}
