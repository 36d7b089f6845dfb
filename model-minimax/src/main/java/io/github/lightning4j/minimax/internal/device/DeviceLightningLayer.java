package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;

/** Lightning attention with its projections, as {@code LightningLayer} has it. */
final class DeviceLightningLayer implements DeviceAttention {
  private static final Options SILU = Options.DEFAULT.withSilu(true);

  private static final float EPS = (float) MiniMaxConfig.INNER_NORM_EPS;

  private final int index;
  private final MiniMaxConfig.AttentionConfig sizes;
  private final DeviceWeights.Lightning weights;

  /**
   * One layer.
   *
   * @param index among the lightning layers
   */
  DeviceLightningLayer(
      int index, MiniMaxConfig.AttentionConfig sizes, DeviceWeights.Lightning weights) {
    this.index = index;
    this.sizes = sizes;
    this.weights = weights;
  }

  @Override
  public void see(DeviceStep step, Tensor hidden) {}

  @Override
  public void forward(DeviceStep step, Tensor normed, Sum sum, Tensor out) {
    StepShape shape = step.shape();
    DeviceOperators operators = step.operators();
    Tensor qkv = step.scratch().activations(Slot.QUERY, shape.rows(), 3L * sizes.width());
    Tensor heads = step.scratch().activations(Slot.HEADS, shape.rows(), sizes.width());
    Tensor gate = step.scratch().activations(Slot.GATE, shape.rows(), sizes.width());
    weights.qkv().multiply(operators, normed, qkv);
    weights.gate().multiply(operators, normed, gate);
    if (shape.singles() > 0) {
      decode(step, qkv, heads);
    }
    if (shape.stretches() > 0) {
      prefill(step, qkv, heads);
    }
    operators.steps().gatedNorm(heads, gate, weights.norm(), EPS, heads);
    weights.out().multiply(operators, heads, sum, out);
  }

  private void decode(DeviceStep step, Tensor qkv, Tensor heads) {
    int count = step.shape().singles();
    step.operators()
        .lightning()
        .decode(
            part(qkv, 0, count, 0).select(0, 0),
            part(qkv, 0, count, 1).select(0, 0),
            part(qkv, 0, count, 2).select(0, 0),
            weights.logDecay(),
            SILU,
            step.states(index),
            step.inputs().slots(0, count),
            heads.narrow(0, 0, count).reshape(count, sizes.heads(), sizes.headDim()));
  }

  private void prefill(DeviceStep step, Tensor qkv, Tensor heads) {
    StepShape shape = step.shape();
    int first = shape.singles();
    int rows = shape.stretchRows();
    step.operators()
        .lightning()
        .prefill(
            part(qkv, first, rows, 0),
            part(qkv, first, rows, 1),
            part(qkv, first, rows, 2),
            weights.logDecay(),
            SILU,
            step.states(index),
            step.inputs().slots(first, shape.stretches()),
            step.inputs().offsets(0, shape.stretches()),
            heads.narrow(0, first, rows).reshape(1, rows, sizes.heads(), sizes.headDim()));
  }

  /** q, k or v of some rows, {@code [1, T, heads, d]}, in place in the fused projection. */
  private Tensor part(Tensor qkv, long first, long rows, int part) {
    long d = sizes.headDim();
    long row = qkv.stride(0);
    return qkv.strided(
        first * row + part * d,
        new long[] {1, rows, sizes.heads(), d},
        new long[] {rows * row, row, 3 * d, 1});
  }
}
