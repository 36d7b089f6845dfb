package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.Activation;

/**
 * Operators over rows with a bias; arguments are checked by {@code core.nn.BiasedRows}. Row ranges
 * {@code [from, to)} may run on different threads.
 */
public interface BiasedRowKernels {
  /** {@code out[t] = weight (x[t] - mean) / sqrt(var + eps) + bias}. */
  void layerNorm(Tensor x, Tensor weight, Tensor bias, float eps, Tensor out, long from, long to);

  /** {@code out[t] = activation(x[t] + bias)}. */
  void addBias(Tensor x, Tensor bias, Activation activation, Tensor out, long from, long to);

  /** The fastest implementation of this machine. */
  static BiasedRowKernels best() {
    return of(CoreKernels.library().preferred());
  }

  /** The implementation for a backend. */
  static BiasedRowKernels of(Backend backend) {
    return CoreKernels.library().choose(backend, new ReferenceBiasedRows(), new CpuBiasedRows());
  }
}
