package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.MiniMaxConfig.Mix;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;

/** One layer, as {@code DecoderLayer} has it. */
final class DeviceLayer {
  private final DeviceWeights.Layer weights;
  private final DeviceAttention attention;
  private final DeviceMoeLayer moe;
  private final boolean postNorm;
  private final Mix attentionMix;
  private final Mix mlpMix;
  private final float eps;

  /**
   * One layer.
   *
   * @param index among all layers
   * @param ofItsKind among the layers of its kind
   */
  DeviceLayer(int index, int ofItsKind, MiniMaxConfig config, DeviceWeights all) {
    this.weights = all.layers().get(index);
    this.attention =
        weights.attention() instanceof DeviceWeights.Lightning lightning
            ? new DeviceLightningLayer(ofItsKind, config.attention(), lightning)
            : new DeviceSoftmaxLayer(
                ofItsKind,
                config.attention(),
                (DeviceWeights.Softmax) weights.attention(),
                all.invFreq());
    this.moe = new DeviceMoeLayer(config.experts(), weights.moe());
    this.postNorm = config.residuals().postNorm();
    this.attentionMix =
        config.layers().get(index) == LayerKind.LIGHTNING
            ? config.residuals().lightning()
            : config.residuals().softmax();
    this.mlpMix = config.residuals().mlp();
    this.eps = (float) config.rmsNormEps();
  }

  /** Puts the layer's work on the stream; {@code hidden} goes in and comes out. */
  void forward(DeviceStep step, Tensor hidden) {
    attention.see(step, hidden);
    Tensor normed = step.scratch().activations(Slot.NORMED, hidden.shape());
    step.operators().rows().rmsNorm(hidden, weights.inputNorm(), eps, normed);
    attention.forward(step, normed, sum(hidden, normed, attentionMix), hidden);
    step.operators().rows().rmsNorm(hidden, weights.postNorm(), eps, normed);
    moe.forward(step, normed, sum(hidden, normed, mlpMix), hidden);
  }

  /** As {@link DeviceAttention#commit}. */
  void commit(DeviceOperators operators, SequencePool memory, DeviceDrafts drafts, int accepted) {
    attention.commit(operators, memory, drafts, accepted);
  }

  private Sum sum(Tensor hidden, Tensor normed, Mix mix) {
    return new Sum((float) mix.beta(), postNorm ? normed : hidden, (float) mix.alpha());
  }
}
