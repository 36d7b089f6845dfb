package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;
import io.github.lightning4j.moe.CudaMixtureOfExperts;
import io.github.lightning4j.moe.CudaMoeWorkspace;
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
    int all = Math.toIntExact(weights.router().size(0));
    Tensor logits = step.scratch().get(Slot.ROUTER_LOGITS, DType.F32, rows, all);
    step.operators().gemm().multiply(normed, weights.router(), logits);
    CudaMoeWorkspace workspace = step.scratch().moe(weights.experts(), all, rows, options.k());
    ExpertRanks ranks = step.operators().ranks();
    if (ranks != null) {
      withOthers(step, normed, logits, workspace, ranks, sum, out);
      return;
    }
    step.operators()
        .experts()
        .forward(
            normed,
            logits,
            options,
            null,
            weights.experts(),
            workspace,
            sum.residual(),
            sum.residualScale(),
            sum.scale(),
            out);
  }

  /** The experts here give their part, which is added up over ranks. */
  private void withOthers(
      DeviceStep step,
      Tensor normed,
      Tensor logits,
      CudaMoeWorkspace workspace,
      ExpertRanks ranks,
      Sum sum,
      Tensor out) {
    Tensor mixture = step.scratch().get(Slot.MIXTURE, DType.F32, normed.shape());
    CudaMixtureOfExperts experts = step.operators().experts();
    int first = ranks.here().first();
    experts.part(normed, logits, options, null, weights.experts(), first, workspace, mixture);
    ranks.add(mixture);
    experts.addResidual(mixture, sum.residual(), sum.residualScale(), sum.scale(), out);
  }
}
