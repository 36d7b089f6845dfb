package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.SharedWeights;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The weights of a model: views of its checkpoint, or held in another format.
 *
 * @param embedding {@code [V, H]}
 * @param layers first to last
 * @param finalNorm {@code [H]}
 * @param head {@code [V, H]}; the embedding where tied
 */
public record ModelWeights(
    WeightMatrix embedding, List<Layer> layers, Tensor finalNorm, WeightMatrix head) {

  /**
   * One layer.
   *
   * @param inputNorm {@code [H]}
   * @param attention of one kind or the other
   * @param postNorm {@code [H]}
   * @param moe the mixture of experts
   */
  public record Layer(Tensor inputNorm, Attention attention, Tensor postNorm, Moe moe) {}

  /** The weights of an attention. */
  public sealed interface Attention {}

  /**
   * Lightning attention.
   *
   * @param qkv {@code [3 nh d, H]}, rows per head q, k, v
   * @param gate {@code [nh d, H]}
   * @param norm {@code [nh d]}
   * @param out {@code [H, nh d]}
   */
  public record Lightning(WeightMatrix qkv, WeightMatrix gate, Tensor norm, WeightMatrix out)
      implements Attention {}

  /**
   * Softmax attention.
   *
   * @param q {@code [nh d, H]}
   * @param k {@code [nkv d, H]}
   * @param v {@code [nkv d, H]}
   * @param out {@code [H, nh d]}
   */
  public record Softmax(WeightMatrix q, WeightMatrix k, WeightMatrix v, WeightMatrix out)
      implements Attention {}

  /**
   * The mixture of experts.
   *
   * @param router {@code [E, H]}
   * @param experts the expert matrices
   * @param shared the shared expert, if there is one
   */
  public record Moe(Tensor router, Experts experts, @Nullable SharedWeights shared) {}
}
