package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;

/** Lightning attention with its projections, as {@code LightningLayer} has it. */
final class DeviceLightningLayer implements DeviceAttention {
  private static final Options SILU = Options.DEFAULT.withSilu(true);

  /** So few tokens at once do not go by chunks. */
  private static final long FEW = 8;

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
    if (shape.stretches() > shape.drafted()) {
      prefill(step, qkv, heads);
    }
    for (int i = shape.sequences() - shape.drafted(); i < shape.sequences(); i++) {
      draft(step, step.pieces().get(i), step.inputs().slots(i, 1), qkv, heads);
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
    int rows = shape.stretchRows() - shape.draftedRows();
    int count = shape.stretches() - shape.drafted();
    step.operators()
        .lightning()
        .prefill(
            part(qkv, first, rows, 0),
            part(qkv, first, rows, 1),
            part(qkv, first, rows, 2),
            weights.logDecay(),
            SILU,
            step.states(index),
            step.inputs().slots(first, count),
            step.inputs().offsets(0, count),
            heads.narrow(0, first, rows).reshape(1, rows, sizes.heads(), sizes.headDim()));
  }

  private void draft(DeviceStep step, Piece piece, Tensor slot, Tensor qkv, Tensor heads) {
    Tensor rows = qkv.narrow(0, piece.firstRow(), piece.rows());
    step.operators().stream().copy(rows, piece.drafts().rows(index, piece.rows()));
    Tensor out = heads.narrow(0, piece.firstRow(), piece.rows());
    oneByOne(step.operators(), rows, step.states(index), slot, out);
  }

  @Override
  public void commit(
      DeviceOperators operators, SequencePool memory, DeviceDrafts drafts, int accepted) {
    oneByOne(
        operators,
        drafts.rows(index, accepted),
        memory.states().states(index),
        drafts.slot(),
        drafts.output(accepted));
  }

  /**
   * Tokens of one sequence by the kernel of single ones, which rounds as it does for each alone.
   */
  private void oneByOne(
      DeviceOperators operators, Tensor qkv, Tensor states, Tensor slot, Tensor out) {
    for (long from = 0; from < qkv.size(0); from += FEW) {
      long count = Math.min(FEW, qkv.size(0) - from);
      operators
          .lightning()
          .prefill(
              part(qkv, from, count, 0),
              part(qkv, from, count, 1),
              part(qkv, from, count, 2),
              weights.logDecay(),
              SILU,
              states,
              slot,
              null,
              out.narrow(0, from, count).reshape(1, count, sizes.heads(), sizes.headDim()));
    }
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
