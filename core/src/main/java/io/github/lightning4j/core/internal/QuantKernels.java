package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import java.util.List;

/** Making and using quantized matrices; arguments are checked by the facades. */
public interface QuantKernels {
  /**
   * Codes the rows {@code [from, to)}.
   *
   * @param report F64 {@code [N, 3]}: largest error, squared error, squared weights of each row
   * @return the first row with NaN or infinity, where it stops, else -1
   */
  long quantize(Tensor w, QuantStore out, Tensor report, long from, long to);

  /** {@code out[n] = the weights of row first + n}, for all rows of out. */
  void dequantize(QuantizedMatrix w, Tensor out, long first);

  /** What products of the same activations share; close it behind the last of them. */
  Product product(Tensor a, List<QuantizedMatrix> weights);

  /** Activations, ready for several matrices. */
  interface Product extends AutoCloseable {
    /** Computes the columns {@code [from, to)} of {@code out = a weights[i]^T}. */
    void multiply(int i, Tensor out, long from, long to);

    @Override
    void close();
  }

  /** Rows of weights that the products of many rows go over at once. */
  long blockRows();

  /** The implementation for a backend. */
  static QuantKernels of(Backend backend) {
    return CoreKernels.library().choose(backend, new ReferenceQuant(), new CpuQuant());
  }
}
