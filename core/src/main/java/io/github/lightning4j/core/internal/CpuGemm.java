package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Tensor;

/**
 * The kernel of {@code gemm_kernels.h}: streams the weights once for every 32 rows of activations.
 */
public final class CpuGemm implements GemmKernel {
  /** Stateless. */
  public CpuGemm() {}

  @Override
  public void multiply(Tensor a, Tensor w, Tensor out, long from, long to) {
    CoreKernels.gemm(
        w.dtype().ordinal(),
        a.address(),
        a.stride(0),
        w.address(),
        w.stride(0),
        out.address(),
        out.stride(0),
        a.size(0),
        from,
        to,
        a.size(1));
  }
}
