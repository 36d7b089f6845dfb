package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** The kernel of {@code gated_norm_kernels.h}. */
final class CpuGatedNorm implements GatedNormKernel {
  @Override
  public void apply(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, long from, long to) {
    AttentionKernels.gatedNorm(
        weight.dtype().ordinal(),
        x.address(),
        x.stride(0),
        gate == null ? 0 : gate.address(),
        gate == null ? 0 : gate.stride(0),
        weight.address(),
        out.address(),
        out.stride(0),
        from,
        to,
        x.size(1),
        eps);
  }
}
