package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvRows;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.device.DeviceScratch.Slot;

/** Softmax attention over a cache with its projections, as {@code SoftmaxLayer} has it. */
final class DeviceSoftmaxLayer implements DeviceAttention {
  private final int index;
  private final MiniMaxConfig.AttentionConfig sizes;
  private final DeviceWeights.Softmax weights;
  private final Tensor invFreq;
  private final float scale;

  /**
   * One layer.
   *
   * @param index among the softmax layers
   */
  DeviceSoftmaxLayer(
      int index,
      MiniMaxConfig.AttentionConfig sizes,
      DeviceWeights.Softmax weights,
      Tensor invFreq) {
    this.index = index;
    this.sizes = sizes;
    this.weights = weights;
    this.invFreq = invFreq;
    this.scale = (float) (1 / Math.sqrt(sizes.headDim()));
  }

  @Override
  public void forward(DeviceStep step, Tensor normed, Sum sum, Tensor out) {
    DeviceOperators operators = step.operators();
    Tensor query = project(step, Slot.QUERY, weights.q(), normed, sizes.heads());
    Tensor key = project(step, Slot.KEY, weights.k(), normed, sizes.kvHeads());
    Tensor value = project(step, Slot.VALUE, weights.v(), normed, sizes.kvHeads());
    long rows = step.shape().rows();
    Tensor heads = step.scratch().activations(Slot.HEADS, rows, sizes.width());
    Tensor positions = step.inputs().positions(rows);
    operators.rows().rope(query, invFreq, positions, 0);
    operators.rows().rope(key, invFreq, positions, 0);
    int singles = step.shape().singles();
    if (singles > 0) {
      decode(step, query, key, value, heads);
    }
    if (step.shape().stretches() > 0) {
      prefill(step, query, key, value, heads);
    }
    weights.out().multiply(operators, heads, sum, out);
  }

  /** {@code [R, heads, d]}. */
  private Tensor project(
      DeviceStep step, Slot slot, DeviceMatrix matrix, Tensor normed, long heads) {
    long rows = normed.size(0);
    Tensor to = step.scratch().activations(slot, rows, heads * sizes.headDim());
    matrix.multiply(step.operators(), normed, to);
    return to.reshape(rows, heads, sizes.headDim());
  }

  private void decode(DeviceStep step, Tensor query, Tensor key, Tensor value, Tensor heads) {
    int count = step.shape().singles();
    CudaKvCache cache = step.memory().cache(index);
    Tensor sequences = step.inputs().slots(0, count);
    Tensor positions = step.inputs().starts(0, count);
    cache.append(
        step.operators().stream(),
        key.narrow(0, 0, count),
        value.narrow(0, 0, count),
        CudaKvRows.decode(sequences, positions));
    long scratch = step.operators().softmax().scratchElements(cache, count, sizes.heads());
    step.operators()
        .softmax()
        .decode(
            query.narrow(0, 0, count),
            cache,
            sequences,
            positions,
            scale,
            step.scratch().get(Slot.SPLITS, DType.F32, scratch),
            heads.narrow(0, 0, count).reshape(count, sizes.heads(), sizes.headDim()));
  }

  private void prefill(DeviceStep step, Tensor query, Tensor key, Tensor value, Tensor heads) {
    int first = step.shape().singles();
    int count = step.shape().stretches();
    long rows = step.shape().stretchRows();
    CudaKvCache cache = step.memory().cache(index);
    CudaKvRows where =
        CudaKvRows.packed(
            step.inputs().slots(first, count),
            step.inputs().starts(first, count),
            step.inputs().offsets(count));
    cache.append(
        step.operators().stream(), key.narrow(0, first, rows), value.narrow(0, first, rows), where);
    step.operators()
        .softmax()
        .prefill(
            query.narrow(0, first, rows),
            cache,
            where,
            scale,
            heads.narrow(0, first, rows).reshape(rows, sizes.heads(), sizes.headDim()));
  }
}
