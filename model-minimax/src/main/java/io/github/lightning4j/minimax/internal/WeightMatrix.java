package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;

/** The weights {@code [N, K]} of a linear layer or of an embedding, in the format they are held. */
public sealed interface WeightMatrix {
  /** {@code out = a w^T}. */
  void multiply(Operators operators, Tensor a, Tensor out);

  /** {@code out[t] = w[ids[t]]}. */
  void lookUp(Operators operators, Tensor ids, Tensor out);

  /**
   * Plain weights.
   *
   * @param tensor F32, BF16 or F16
   */
  record Plain(Tensor tensor) implements WeightMatrix {
    @Override
    public void multiply(Operators operators, Tensor a, Tensor out) {
      operators.gemm().multiply(a, tensor, out);
    }

    @Override
    public void lookUp(Operators operators, Tensor ids, Tensor out) {
      operators.rows().gatherRows(tensor, ids, out);
    }
  }

  /**
   * Weights of 8 or 4 bits.
   *
   * @param matrix the codes
   */
  record Quantized(QuantizedMatrix matrix) implements WeightMatrix {
    @Override
    public void multiply(Operators operators, Tensor a, Tensor out) {
      operators.gemm().multiply(a, matrix, out);
    }

    @Override
    public void lookUp(Operators operators, Tensor ids, Tensor out) {
      operators.rows().gatherRows(matrix, ids, out);
    }
  }
}
