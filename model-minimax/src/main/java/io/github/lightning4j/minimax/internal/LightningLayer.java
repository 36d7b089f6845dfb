package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.attention.Decay;
import io.github.lightning4j.attention.Options;
import io.github.lightning4j.attention.OutputNorm;
import io.github.lightning4j.attention.Prefill;
import io.github.lightning4j.attention.Slopes;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.Dialect;
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
    this.decay = decay(index, config);
  }

  /** Slopes shrink with depth; the two dialects differ in both factors. */
  private static Decay decay(int index, MiniMaxConfig config) {
    int heads = config.attention().heads();
    int layers = config.layers().size();
    boolean original = config.dialect() == Dialect.ORIGINAL;
    double[] slopes = original ? Slopes.alibi(heads) : Slopes.geometric(heads);
    double factor =
        original
            ? Slopes.layerFactor(index, layers)
            : Slopes.layerFactorTransformers(index, layers);
    for (int head = 0; head < heads; head++) {
      slopes[head] *= factor;
    }
    return Decay.ofSlopes(slopes);
  }

  @Override
  public void forward(
      TokenBatch batch, Workspace workspace, ForwardObserver observer, Tensor normed, Tensor out) {
    long rows = batch.rows();
    Tensor qkv = workspace.floats(Slot.QUERY, rows, 3L * sizes.width());
    Tensor heads = workspace.floats(Slot.HEADS, rows, sizes.width());
    Tensor gate = workspace.floats(Slot.GATE, rows, sizes.width());
    projections.multiply(operators, normed, qkv, gate);
    for (TokenBatch.Segment segment : batch.segments()) {
      attend(qkv, gate, segment, heads);
    }
    weights.out().multiply(operators, heads, out);
  }

  /** The normed and gated outputs of a segment: one token by decode, more by prefill. */
  private void attend(Tensor qkv, Tensor gate, TokenBatch.Segment segment, Tensor heads) {
    Tensor q = part(qkv, segment, 0);
    Tensor k = part(qkv, segment, 1);
    Tensor v = part(qkv, segment, 2);
    long tokens = segment.rows();
    Tensor gates = gate.narrow(0, segment.firstRow(), tokens);
    Tensor outs =
        heads
            .narrow(0, segment.firstRow(), tokens)
            .reshape(1, tokens, sizes.heads(), sizes.headDim());
    Tensor state = segment.state().lightning(index);
    float eps = (float) MiniMaxConfig.INNER_NORM_EPS;
    if (tokens == 1) {
      operators
          .lightning()
          .decode(
              q.select(1, 0),
              k.select(1, 0),
              v.select(1, 0),
              decay,
              SILU,
              state,
              ONLY_SLOT,
              new OutputNorm(weights.norm(), eps, gates),
              outs.select(1, 0));
    } else {
      Tensor rows = gates.reshape(1, tokens, gates.size(1));
      operators
          .lightning()
          .prefill(
              new Prefill(q, k, v, decay, SILU, outs)
                  .state(state)
                  .norm(new OutputNorm(weights.norm(), eps, rows)));
    }
  }

  /** q, k or v of a segment, {@code [1, T, heads, d]}, in place in the fused projection. */
  private Tensor part(Tensor qkv, TokenBatch.Segment segment, int part) {
    long d = sizes.headDim();
    long row = qkv.stride(0);
    return qkv.strided(
        segment.firstRow() * row + part * d,
        new long[] {1, segment.rows(), sizes.heads(), d},
        new long[] {segment.rows() * row, row, 3 * d, 1});
  }
}
