package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.Workspace.Slot;

/**
 * Causal softmax attention with grouped key-value heads and rotary embedding over part of a head.
 *
 * <pre>
 * q = rope(n Wq^T), k = rope(n Wk^T), v = n Wv^T
 * out = softmax(q k^T / sqrt(d)) v Wo^T
 * </pre>
 */
final class SoftmaxLayer implements AttentionLayer {
  private final int index;
  private final MiniMaxConfig.AttentionConfig sizes;
  private final ModelWeights.Softmax weights;
  private final Operators operators;
  private final Tensor invFreq;
  private final WeightGroup projections;
  private final float scale;

  SoftmaxLayer(
      int index,
      MiniMaxConfig config,
      ModelWeights.Softmax weights,
      Operators operators,
      Tensor invFreq) {
    this.index = index;
    this.sizes = config.attention();
    this.weights = weights;
    this.operators = operators;
    this.invFreq = invFreq;
    this.projections = new WeightGroup(weights.q(), weights.k(), weights.v());
    this.scale = (float) (1 / Math.sqrt(sizes.headDim()));
  }

  @Override
  public void forward(
      TokenBatch batch, Workspace workspace, ForwardObserver observer, Tensor normed, Tensor out) {
    long rows = batch.rows();
    Tensor query = workspace.floats(Slot.QUERY, rows, sizes.width());
    Tensor key = workspace.floats(Slot.KEY, rows, sizes.kvWidth());
    Tensor value = workspace.floats(Slot.VALUE, rows, sizes.kvWidth());
    Tensor heads = workspace.floats(Slot.HEADS, rows, sizes.width());
    projections.multiply(operators, normed, query, key, value);
    observer.projected(index, key, value);
    Recording.between(
        () -> batch.forEachSegment(segment -> attend(segment, query, key, value, observer, heads)));
    weights.out().multiply(operators, heads, out);
  }

  /** Rotates and attends in the rows of one sequence. */
  private void attend(
      TokenBatch.Segment segment,
      Tensor query,
      Tensor key,
      Tensor value,
      ForwardObserver observer,
      Tensor out) {
    Tensor q = heads(query, segment, sizes.heads());
    Tensor k = heads(key, segment, sizes.kvHeads());
    operators.rows().rope(q, invFreq, segment.state().position());
    if (!HostMemory.of(segment.state()).layerCache(index).storesKeysBeforeRotation()) {
      operators.rows().rope(k, invFreq, segment.state().position());
      observer.rotated(index, q, k);
    }
    Tensor v = heads(value, segment, sizes.kvHeads());
    attend(segment, q, k, v, heads(out, segment, sizes.heads()));
  }

  private void attend(TokenBatch.Segment segment, Tensor q, Tensor k, Tensor v, Tensor out) {
    LayerCache cache = HostMemory.of(segment.state()).layerCache(index);
    var step = new LayerCache.Step(q, k, v, segment.state().classes(segment.rows()), scale, out);
    HostDrafts drafts = (HostDrafts) segment.drafts();
    if (drafts == null) {
      cache.attend(operators, step);
      if (segment.state().promptEnds()) {
        cache.endPrompt();
      }
      return;
    }
    heads(drafts.rows(index, 0, segment.rows())).copyFrom(k);
    heads(drafts.rows(index, 1, segment.rows())).copyFrom(v);
    cache.attendGuess(operators, step);
  }

  @Override
  public void commit(SequenceState state, HostDrafts drafts, int accepted) {
    HostMemory.of(state)
        .layerCache(index)
        .append(heads(drafts.rows(index, 0, accepted)), heads(drafts.rows(index, 1, accepted)));
  }

  /** Rows of keys or values, {@code [T, kvHeads, d]}. */
  private Tensor heads(Tensor rows) {
    return rows.reshape(rows.size(0), sizes.kvHeads(), sizes.headDim());
  }

  private Tensor heads(Tensor rows, TokenBatch.Segment segment, int heads) {
    return rows.narrow(0, segment.firstRow(), segment.rows())
        .reshape(segment.rows(), heads, sizes.headDim());
  }
}
