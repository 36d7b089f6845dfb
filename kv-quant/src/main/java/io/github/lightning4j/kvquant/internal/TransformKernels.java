package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Tensor;

/**
 * Changes of basis of rows {@code [T, width]}, F32; arguments are checked by the facades. Row
 * ranges {@code [from, to)} may run on different threads.
 */
public interface TransformKernels {
  /** Had(n) on every block of n channels; {@code out} may be {@code x}. */
  void hadamard(Tensor x, int n, Tensor out, long from, long to);

  /** {@code out[t][i] = x[t][index[i]]}; {@code out} lies apart from {@code x}. */
  void gatherChannels(Tensor x, Tensor index, Tensor out, long from, long to);

  /** {@code out[t] = x[t] + factor row}; {@code out} may be {@code x}. */
  void addRow(Tensor x, Tensor row, float factor, Tensor out, long from, long to);

  /** The implementation for a backend. */
  static TransformKernels of(Backend backend) {
    return KvQuantKernels.library().choose(backend, new ReferenceTransforms(), new CpuTransforms());
  }
}
