package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.minimax.ForwardObserver;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.Workspace.Slot;
import io.github.lightning4j.moe.SharedWeights;

/**
 * The mixture of experts.
 *
 * <pre>
 * p   = softmax(m Wg^T), the K largest, renormalised to w
 * out = sum_k w_k W2_k (silu(W1_k m) * (W3_k m))
 * </pre>
 *
 * With a shared expert: {@code out (1 - c) + shared(m) c}, {@code c = sigmoid(m . coefficient)}.
 */
final class MoeLayer {
  private final int index;
  private final MiniMaxConfig.ExpertConfig sizes;
  private final ModelWeights.Moe weights;
  private final Operators operators;

  MoeLayer(int index, MiniMaxConfig config, ModelWeights.Moe weights, Operators operators) {
    this.index = index;
    this.sizes = config.experts();
    this.weights = weights;
    this.operators = operators;
  }

  void forward(Workspace workspace, ForwardObserver observer, Tensor normed, Tensor out) {
    long rows = normed.size(0);
    int k = sizes.expertsPerToken();
    Tensor logits = workspace.floats(Slot.ROUTER_LOGITS, rows, sizes.experts());
    Tensor expert = workspace.get(Slot.EXPERT_INDEX, DType.I32, rows, k);
    Tensor weight = workspace.floats(Slot.EXPERT_WEIGHT, rows, k);
    operators.gemm().multiply(normed, weights.router(), logits);
    operators.router().route(logits, k, expert, weight);
    observer.router(index, logits, expert, weight);
    operators.experts().forward(normed, weights.experts(), expert, weight, workspace.moe(), out);
    SharedWeights shared = weights.shared();
    if (shared != null) {
      operators.shared().combine(normed, shared, workspace.moe(), out);
    }
  }
}
