package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;
import io.github.lightning4j.moe.RouterOptions;

/** The mixture of experts, as {@code MoeLayer} has it without a shared expert. */
final class DeviceMoeLayer {
  private final RouterOptions options;
  private final DeviceWeights.Moe weights;

  DeviceMoeLayer(MiniMaxConfig.ExpertConfig sizes, DeviceWeights.Moe weights) {
    this.options = RouterOptions.topK(sizes.expertsPerToken());
    this.weights = weights;
  }

  /** Puts the layer's work on the stream; {@code out} may be the residual. */
  void forward(DeviceStep step, Tensor normed, Sum sum, Tensor out) {
    long rows = step.shape().rows();
    Tensor logits =
        step.scratch().get(Slot.ROUTER_LOGITS, DType.F32, rows, weights.experts().experts());
    step.operators().gemm().multiply(normed, weights.router(), logits);
    step.operators()
        .experts()
        .forward(
            normed,
            logits,
            options,
            null,
            weights.experts(),
            step.scratch().moe(weights.experts(), rows, options.k()),
            sum.residual(),
            sum.residualScale(),
            sum.scale(),
            out);
  }
}
