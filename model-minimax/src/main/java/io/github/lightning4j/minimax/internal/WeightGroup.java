package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.ArrayList;
import java.util.List;

/** Several matrices of one format that the same activations are multiplied with. */
final class WeightGroup {
  private final List<Tensor> plain = new ArrayList<>();
  private final List<QuantizedMatrix> quantized = new ArrayList<>();

  WeightGroup(WeightMatrix... matrices) {
    for (WeightMatrix matrix : matrices) {
      if (matrix instanceof WeightMatrix.Plain one) {
        plain.add(one.tensor());
      } else if (matrix instanceof WeightMatrix.Quantized one) {
        quantized.add(one.matrix());
      }
    }
  }

  /** {@code out[i] = a w[i]^T}, the threads sharing out all of them at once. */
  void multiply(Operators operators, Tensor a, Tensor... out) {
    if (quantized.isEmpty()) {
      operators.gemm().multiplyAll(a, plain, List.of(out));
    } else {
      operators.gemm().multiplyAllQuantized(a, quantized, List.of(out));
    }
  }
}
