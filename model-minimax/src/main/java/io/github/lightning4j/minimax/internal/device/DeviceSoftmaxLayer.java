package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.CudaCacheAttention;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvRows;
import io.github.lightning4j.kvquant.policy.CudaGreatest;
import io.github.lightning4j.kvquant.transform.KvTransform;
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

  /** Looks for sinks in prompts, and waits for what it finds. */
  @Override
  public void see(DeviceStep step, Tensor hidden) {
    for (Piece piece : step.pieces()) {
      DevicePrompt prompt = piece.memory().prompt();
      if (prompt != null && prompt.looks(index)) {
        int most = step.memory().cache(index).config().tokens().massiveActivations();
        long k = Math.min(most, hidden.size(1));
        Tensor greatest = step.scratch().get(Slot.GREATEST, DType.F32, piece.rows(), k);
        CudaStream stream = step.operators().stream();
        CudaGreatest.magnitudes(stream, hidden.narrow(0, piece.firstRow(), piece.rows()), greatest);
        try (Tensor here = Tensor.allocate(DType.F32, greatest.shape())) {
          stream.copy(greatest, here);
          stream.synchronize();
          prompt.see(index, here, piece.position());
        }
      }
    }
  }

  @Override
  public void forward(DeviceStep step, Tensor normed, Sum sum, Tensor out) {
    DeviceOperators operators = step.operators();
    Tensor query = project(step, Slot.QUERY, weights.q(), normed, sizes.heads());
    Tensor key = project(step, Slot.KEY, weights.k(), normed, sizes.kvHeads());
    Tensor value = project(step, Slot.VALUE, weights.v(), normed, sizes.kvHeads());
    long rows = step.shape().rows();
    Tensor heads = step.scratch().activations(Slot.HEADS, rows, sizes.width());
    Tensor positions = step.inputs().positions(0, rows);
    operators.rows().rope(query, invFreq, positions, 0);
    if (!storesKeysUnturned(step)) {
      operators.rows().rope(key, invFreq, positions, 0);
    }
    if (step.shape().singles() > 0) {
      decode(step, query, key, value, heads);
    }
    if (step.shape().stretches() > 0) {
      append(step, key, value);
    }
    if (step.shape().prompts() > 0) {
      prefill(step, query, heads);
    }
    if (step.shape().behind() > 0) {
      age(step);
      behind(step, query, heads);
    }
    weights.out().multiply(operators, heads, sum, out);
  }

  /** Whether keys are stored before the rotary embedding, and turned when they are read. */
  private boolean storesKeysUnturned(DeviceStep step) {
    return step.memory().cache(index).config().transform() instanceof KvTransform.PreRopeGrouped;
  }

  /** Nothing to do: what was wrong lies behind the sequence. */
  @Override
  public void commit(
      DeviceOperators operators, SequencePool memory, DeviceDrafts drafts, int accepted) {}

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
    CudaKvRows rows =
        CudaKvRows.decode(step.inputs().slots(0, count), step.inputs().starts(0, count));
    CudaStream stream = step.operators().stream();
    cache.append(stream, key.narrow(0, 0, count), value.narrow(0, 0, count), rows);
    cache.age(stream, rows);
    step.operators()
        .softmax()
        .decode(
            query.narrow(0, 0, count),
            cache,
            rows.sequences(),
            rows.starts(),
            scale,
            splits(step, count),
            heads(heads, 0, count));
  }

  private Tensor splits(DeviceStep step, long rows) {
    CudaKvCache cache = step.memory().cache(index);
    long elements = step.operators().softmax().scratchElements(cache, rows, sizes.heads());
    return step.scratch().get(Slot.SPLITS, DType.F32, elements);
  }

  private Tensor heads(Tensor heads, long first, long rows) {
    return heads.narrow(0, first, rows).reshape(rows, sizes.heads(), sizes.headDim());
  }

  private void append(DeviceStep step, Tensor key, Tensor value) {
    int first = step.shape().singles();
    long rows = step.shape().stretchRows();
    step.memory()
        .cache(index)
        .append(
            step.operators().stream(),
            key.narrow(0, first, rows),
            value.narrow(0, first, rows),
            stretches(step, 0, step.shape().stretches()));
  }

  private static CudaKvRows stretches(DeviceStep step, int from, int count) {
    int first = step.shape().singles() + from;
    return CudaKvRows.packed(
        step.inputs().slots(first, count),
        step.inputs().starts(first, count),
        step.inputs().offsets(from, count));
  }

  private void prefill(DeviceStep step, Tensor query, Tensor heads) {
    int first = step.shape().singles();
    long rows = step.shape().promptRows();
    step.operators()
        .softmax()
        .prefill(
            query.narrow(0, first, rows),
            step.memory().cache(index),
            stretches(step, 0, step.shape().prompts()),
            scale,
            heads(heads, first, rows));
  }

  /** Quantizes what leaves the window in stretches that read it so. */
  private void age(DeviceStep step) {
    CudaKvCache cache = step.memory().cache(index);
    for (Piece piece : step.pieces()) {
      DevicePrompt prompt = piece.memory().prompt();
      if (prompt != null && !prompt.exact() && prompt.looks(index)) {
        cache.keep(step.operators().stream(), piece.memory().slot(), prompt.sinks(index));
      }
    }
    int from = step.shape().prompts();
    int count = step.shape().behind();
    CudaKvRows all = stretches(step, from, count);
    int first = step.shape().singles() + from;
    cache.age(
        step.operators().stream(),
        new CudaKvRows(step.inputs().ageingSlots(first, count), all.starts(), all.offsets()));
  }

  private void behind(DeviceStep step, Tensor query, Tensor heads) {
    int first = step.shape().singles();
    int from = step.shape().prompts();
    int count = step.shape().behind();
    long rows = step.shape().stretchRows();
    CudaKvCache cache = step.memory().cache(index);
    CudaCacheAttention attention = step.operators().softmax();
    long splits = attention.promptScratchElements(cache, rows, sizes.heads());
    attention.prefill(
        query.narrow(0, first, rows),
        cache,
        stretches(step, from, count),
        step.inputs().agedLengths(first + from, count),
        scale,
        step.scratch().get(Slot.SPLITS, DType.F32, splits),
        heads(heads, first, rows));
  }
}
