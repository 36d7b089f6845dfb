package io.github.lightning4j.jmh.device;

import io.github.lightning4j.core.CudaGemm;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.ArrayList;
import java.util.List;

/** What products share: N = K = 6,144, the projections of MiniMax-01, in one kind of weights. */
final class ProductTensors {
  private final int size;
  private final Weights weights;
  private final CudaGemm gemm;
  private final List<Object> matrices = new ArrayList<>();

  /**
   * Makes weights.
   *
   * @param cold whether there are as many matrices as no cache can hold, or one
   */
  ProductTensors(Scene scene, Weights weights, boolean cold) {
    this.size = scene.size(6144, 64);
    this.weights = weights;
    this.gemm = scene.add(CudaGemm.open(scene.stream()));
    int count = cold ? scene.variants(bytes()) : 1;
    QuantFormat format = weights.format();
    for (int i = 0; i < count; i++) {
      matrices.add(format == null ? scene.weights(size, size) : scene.weights(format, size, size));
    }
  }

  int size() {
    return size;
  }

  /** How many matrices there are. */
  int count() {
    return matrices.size();
  }

  /** Bytes of one of them. */
  long bytes() {
    QuantFormat format = weights.format();
    return format == null
        ? (long) DType.BF16.bytes() * size * size
        : QuantizedMatrix.imageBytes(format, size, size);
  }

  /** {@code out = x w^T} with one of them. */
  void multiply(Tensor x, int matrix, Tensor out) {
    Object w = matrices.get(matrix);
    if (w instanceof Tensor plain) {
      gemm.multiply(x, plain, out);
    } else {
      gemm.multiply(x, (CudaQuantizedMatrix) w, out);
    }
  }
}
