package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.SharedWeights;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The weights of a model, as views of its checkpoint.
 *
 * @param embedding {@code [V, H]}
 * @param layers first to last
 * @param finalNorm {@code [H]}
 * @param head {@code [V, H]}; the embedding where tied
 */
public record ModelWeights(Tensor embedding, List<Layer> layers, Tensor finalNorm, Tensor head) {

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
  public record Lightning(Tensor qkv, Tensor gate, Tensor norm, Tensor out) implements Attention {}

  /**
   * Softmax attention.
   *
   * @param q {@code [nh d, H]}
   * @param k {@code [nkv d, H]}
   * @param v {@code [nkv d, H]}
   * @param out {@code [H, nh d]}
   */
  public record Softmax(Tensor q, Tensor k, Tensor v, Tensor out) implements Attention {}

  /**
   * The mixture of experts.
   *
   * @param router {@code [E, H]}
   * @param experts the expert matrices
   * @param shared the shared expert, if there is one
   */
  public record Moe(Tensor router, ExpertWeights experts, @Nullable SharedWeights shared) {}
}
