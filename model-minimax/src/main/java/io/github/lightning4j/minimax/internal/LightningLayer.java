package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.OutputNorm;
import io.github.lightning4j.attention.Prefill;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.Workspace.Slot;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Lightning attention with its projections.
 *
 * <pre>
 * q, k, v = silu(n Wqkv^T), rows of Wqkv per head q | k | v
 * o       = lightning(q, k, v)                       S_t = e^-s S_{t-1} + k_t^T v_t ; o_t = q_t S_t
 * out     = (sigmoid(n Wgate^T) * RMS(o)) Wout^T     one norm over all heads
 * </pre>
 */
final class LightningLayer implements AttentionLayer {
  private static final Options SILU = Options.DEFAULT.withSilu(true);

  private static final float EPS = (float) MiniMaxConfig.INNER_NORM_EPS;

  /** A session's state is a pool of one. */
  private static final Tensor ONLY_SLOT =
      Tensor.wrap(ByteBuffer.allocateDirect(4).order(ByteOrder.nativeOrder()), DType.I32, 1);

  private final int index;
  private final MiniMaxConfig.AttentionConfig sizes;
  private final ModelWeights.Lightning weights;
  private final Operators operators;
  private final WeightGroup projections;
  private final Decay decay;

  LightningLayer(
      int index, MiniMaxConfig config, ModelWeights.Lightning weights, Operators operators) {
    this.index = index;
    this.sizes = config.attention();
    this.weights = weights;
    this.operators = operators;
    this.projections = new WeightGroup(weights.qkv(), weights.gate());
    this.decay = LayerConstants.decay(index, config);
  }

  @Override
  public void forward(
      TokenBatch batch, Workspace workspace, ForwardObserver observer, Tensor normed, Tensor out) {
    long rows = batch.rows();
    Tensor qkv = workspace.floats(Slot.QUERY, rows, 3L * sizes.width());
    Tensor heads = workspace.floats(Slot.HEADS, rows, sizes.width());
    Tensor gate = workspace.floats(Slot.GATE, rows, sizes.width());
    projections.multiply(operators, normed, qkv, gate);
    batch.forEachSegment(segment -> attend(qkv, gate, segment, heads));
    weights.out().multiply(operators, heads, out);
  }

  /** The normed and gated outputs of a segment: one token by decode, more by prefill. */
  private void attend(Tensor qkv, Tensor gate, TokenBatch.Segment segment, Tensor heads) {
    Tensor state = HostMemory.of(segment.state()).lightning(index);
    HostDrafts drafts = (HostDrafts) segment.drafts();
    if (drafts != null) {
      Tensor rows = qkv.narrow(0, segment.firstRow(), segment.rows());
      drafts.rows(index, 0, segment.rows()).copyFrom(rows);
      drafts.state().copyFrom(state);
      // Token by token, as decode would: a chunk of them rounds otherwise.
      for (long t = 0; t < segment.rows(); t++) {
        decode(qkv, gate, segment.firstRow() + t, drafts.state(), heads);
      }
    } else if (segment.rows() == 1) {
      decode(qkv, gate, segment.firstRow(), state, heads);
    } else {
      prefill(qkv, gate, segment, heads);
    }
  }

  private void decode(Tensor qkv, Tensor gate, long row, Tensor state, Tensor heads) {
    operators
        .lightning()
        .decode(
            part(qkv, row, 1, 0).select(1, 0),
            part(qkv, row, 1, 1).select(1, 0),
            part(qkv, row, 1, 2).select(1, 0),
            decay,
            SILU,
            state,
            ONLY_SLOT,
            new OutputNorm(weights.norm(), EPS, gate.narrow(0, row, 1)),
            heads.narrow(0, row, 1).reshape(1, sizes.heads(), sizes.headDim()));
  }

  private void prefill(Tensor qkv, Tensor gate, TokenBatch.Segment segment, Tensor heads) {
    long first = segment.firstRow();
    long tokens = segment.rows();
    Tensor gates = gate.narrow(0, first, tokens).reshape(1, tokens, gate.size(1));
    Tensor outs = heads.narrow(0, first, tokens).reshape(1, tokens, sizes.heads(), sizes.headDim());
    operators
        .lightning()
        .prefill(
            new Prefill(
                    part(qkv, first, tokens, 0),
                    part(qkv, first, tokens, 1),
                    part(qkv, first, tokens, 2),
                    decay,
                    SILU,
                    outs)
                .state(HostMemory.of(segment.state()).lightning(index))
                .norm(new OutputNorm(weights.norm(), EPS, gates)));
  }

  @Override
  public void commit(SequenceState state, HostDrafts drafts, int accepted) {
    Tensor qkv = drafts.rows(index, 0, accepted);
    for (long row = 0; row < accepted; row++) {
      operators
          .lightning()
          .decode(
              part(qkv, row, 1, 0).select(1, 0),
              part(qkv, row, 1, 1).select(1, 0),
              part(qkv, row, 1, 2).select(1, 0),
              decay,
              SILU,
              HostMemory.of(state).lightning(index),
              ONLY_SLOT,
              drafts.output());
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
