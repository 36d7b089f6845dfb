package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.CudaExpertWeights;
import java.util.List;

/**
 * The weights of a model on a GPU: matrices BF16 or coded, decays and frequencies F32.
 *
 * @param embedding {@code [V, H]}
 * @param layers first to last
 * @param finalNorm {@code [H]}
 * @param head {@code [V, H]}
 * @param invFreq rotary frequencies {@code [R/2]}
 */
record DeviceWeights(
    DeviceMatrix embedding,
    List<Layer> layers,
    Tensor finalNorm,
    DeviceMatrix head,
    Tensor invFreq) {

  /**
   * One layer.
   *
   * @param inputNorm {@code [H]}
   * @param attention of one kind or the other
   * @param postNorm {@code [H]}
   * @param moe the mixture of experts
   */
  record Layer(Tensor inputNorm, Attention attention, Tensor postNorm, Moe moe) {}

  /** The weights of an attention. */
  sealed interface Attention {}

  /**
   * Lightning attention.
   *
   * @param qkv {@code [3 nh d, H]}, rows per head q, k, v
   * @param gate {@code [nh d, H]}
   * @param norm {@code [nh d]}
   * @param out {@code [H, nh d]}
   * @param logDecay {@code [nh]}
   */
  record Lightning(
      DeviceMatrix qkv, DeviceMatrix gate, Tensor norm, DeviceMatrix out, Tensor logDecay)
      implements Attention {}

  /**
   * Softmax attention.
   *
   * @param q {@code [nh d, H]}
   * @param k {@code [nkv d, H]}
   * @param v {@code [nkv d, H]}
   * @param out {@code [H, nh d]}
   */
  record Softmax(DeviceMatrix q, DeviceMatrix k, DeviceMatrix v, DeviceMatrix out)
      implements Attention {}

  /**
   * The mixture of experts.
   *
   * @param router {@code [E, H]}, F32 or BF16
   * @param experts the expert matrices
   */
  record Moe(Tensor router, CudaExpertWeights experts) {}
}
