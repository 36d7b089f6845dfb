package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.CudaGemm.Sum;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;

/** The weights {@code [N, K]} of a linear layer or of an embedding on a GPU. */
sealed interface DeviceMatrix {
  /** {@code out = x w^T}. */
  default void multiply(DeviceOperators operators, Tensor x, Tensor out) {
    multiply(operators, x, Sum.NONE, out);
  }

  /** {@code out = scale x w^T + residualScale residual}. */
  void multiply(DeviceOperators operators, Tensor x, Sum sum, Tensor out);

  /** {@code out[t] = w[ids[t]]}. */
  void lookUp(DeviceOperators operators, Tensor ids, Tensor out);

  /** N. */
  long rows();

  /**
   * Plain weights.
   *
   * @param tensor BF16
   */
  record Plain(Tensor tensor) implements DeviceMatrix {
    @Override
    public void multiply(DeviceOperators operators, Tensor x, Sum sum, Tensor out) {
      operators.gemm().multiply(x, tensor, sum, out);
    }

    @Override
    public void lookUp(DeviceOperators operators, Tensor ids, Tensor out) {
      operators.rows().gatherRows(tensor, ids, out);
    }

    @Override
    public long rows() {
      return tensor.size(0);
    }
  }

  /**
   * Weights of 8 or 4 bits.
   *
   * @param matrix the codes
   */
  record Coded(CudaQuantizedMatrix matrix) implements DeviceMatrix {
    @Override
    public void multiply(DeviceOperators operators, Tensor x, Sum sum, Tensor out) {
      operators.gemm().multiply(x, matrix, sum, out);
    }

    @Override
    public void lookUp(DeviceOperators operators, Tensor ids, Tensor out) {
      operators.steps().gatherRows(matrix, ids, out);
    }

    @Override
    public long rows() {
      return matrix.rows();
    }
  }
}
