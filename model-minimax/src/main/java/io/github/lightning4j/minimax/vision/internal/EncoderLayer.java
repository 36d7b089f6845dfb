package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.Activation;
import io.github.lightning4j.minimax.internal.Operators;
import io.github.lightning4j.minimax.vision.VisionConfig;
import java.util.List;

/**
 * One layer of the tower.
 *
 * <pre>
 * n = LN(x)   y  = x + softmax(q k^T / sqrt(d)) v Wo^T + bo      q, k, v = n W^T + b
 * m = LN(y)   x' = y + act(m Wup^T + bup) Wdown^T + bdown
 * </pre>
 */
final class EncoderLayer {
  private final VisionConfig.Tower tower;
  private final VisionWeights.Layer weights;
  private final Operators operators;
  private final TileAttention attention;

  EncoderLayer(VisionConfig.Tower tower, VisionWeights.Layer weights, Operators operators) {
    this.tower = tower;
    this.weights = weights;
    this.operators = operators;
    this.attention = new TileAttention(tower, operators.softmax());
  }

  void forward(TowerBuffers buffers) {
    norm(buffers.stream, weights.norm1(), buffers.normed);
    List<Tensor> projected = List.of(buffers.query, buffers.key, buffers.value);
    List<VisionWeights.Linear> linear = List.of(weights.query(), weights.key(), weights.value());
    operators
        .gemm()
        .multiplyAll(
            buffers.normed, linear.stream().map(VisionWeights.Linear::weight).toList(), projected);
    for (int i = 0; i < projected.size(); i++) {
      bias(projected.get(i), linear.get(i), Activation.NONE);
    }
    attention.forward(buffers);
    add(buffers.heads, weights.out(), buffers);
    norm(buffers.stream, weights.norm2(), buffers.normed);
    operators.gemm().multiply(buffers.normed, weights.up().weight(), buffers.inner);
    bias(buffers.inner, weights.up(), tower.activation());
    add(buffers.inner, weights.down(), buffers);
  }

  /** {@code stream += x W^T + b}. */
  private void add(Tensor x, VisionWeights.Linear linear, TowerBuffers buffers) {
    operators.gemm().multiply(x, linear.weight(), buffers.branch);
    bias(buffers.branch, linear, Activation.NONE);
    operators.rows().scaledSum(buffers.stream, 1, buffers.branch, 1, buffers.stream);
  }

  private void bias(Tensor x, VisionWeights.Linear linear, Activation activation) {
    operators.biased().addBias(x, linear.bias(), activation, x);
  }

  private void norm(Tensor x, VisionWeights.Norm norm, Tensor out) {
    operators.biased().layerNorm(x, norm.weight(), norm.bias(), (float) tower.layerNormEps(), out);
  }
}
