package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.minimax.MiniMaxConfig.Mix;
import io.github.lightning4j.minimax.internal.Workspace.Slot;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * One layer.
 *
 * <pre>
 * n  = RMS(x)     y  = alpha_a res + beta_a attention(n)      res  = n with post-norm, x without
 * m  = RMS(y)     x' = alpha_m res + beta_m experts(m)        res  = m with post-norm, y without
 * </pre>
 *
 * <p>A sum and the norm behind it are one operator, so a layer leaves {@code n} to the next one.
 */
final class DecoderLayer {
  private final ModelWeights.Layer weights;
  private final AttentionLayer attention;
  private final MoeLayer moe;
  private final Operators operators;
  private final boolean postNorm;
  private final Mix attentionMix;
  private final Mix mlpMix;
  private final float eps;
  private final boolean first;
  private final @Nullable Tensor nextNorm;

  DecoderLayer(
      int index,
      MiniMaxConfig config,
      List<ModelWeights.Layer> all,
      Operators operators,
      Tensor invFreq) {
    this.weights = all.get(index);
    this.first = index == 0;
    this.nextNorm = index + 1 < all.size() ? all.get(index + 1).inputNorm() : null;
    this.operators = operators;
    this.attention =
        weights.attention() instanceof ModelWeights.Lightning lightning
            ? new LightningLayer(index, config, lightning, operators)
            : new SoftmaxLayer(
                index, config, (ModelWeights.Softmax) weights.attention(), operators, invFreq);
    this.moe = new MoeLayer(index, config, weights.moe(), operators);
    this.postNorm = config.residuals().postNorm();
    this.attentionMix =
        config.layers().get(index) == LayerKind.LIGHTNING
            ? config.residuals().lightning()
            : config.residuals().softmax();
    this.mlpMix = config.residuals().mlp();
    this.eps = (float) config.rmsNormEps();
  }

  /** Runs the layer over a batch; {@code stream} goes in and comes out. */
  void forward(TokenBatch batch, Workspace workspace, ForwardObserver observer, Tensor stream) {
    Tensor normed = workspace.floats(Slot.NORMED, stream.shape());
    Tensor branch = workspace.floats(Slot.BRANCH, stream.shape());
    if (first) {
      operators.rows().rmsNorm(stream, weights.inputNorm(), eps, normed);
    }
    attention.forward(batch, workspace, observer, normed, branch);
    join(stream, normed, branch, attentionMix, weights.postNorm());
    moe.forward(workspace, observer, normed, branch);
    join(stream, normed, branch, mlpMix, nextNorm);
  }

  /** Moves the attention's state on by the first of its drafted tokens. */
  void commit(SequenceState state, HostDrafts drafts, int accepted) {
    attention.commit(state, drafts, accepted);
  }

  private void join(
      Tensor stream, Tensor normed, Tensor branch, Mix mix, @Nullable Tensor following) {
    Tensor residual = postNorm ? normed : stream;
    float alpha = (float) mix.alpha();
    float beta = (float) mix.beta();
    if (following == null) {
      operators.rows().scaledSum(residual, alpha, branch, beta, stream);
    } else {
      operators.rows().sumNorm(residual, alpha, branch, beta, following, eps, stream, normed);
    }
  }
}
