package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.Activation;

/** The kernels of {@code biased_rows_kernels.h}. */
final class CpuBiasedRows implements BiasedRowKernels {
  @Override
  public void layerNorm(
      Tensor x, Tensor weight, Tensor bias, float eps, Tensor out, long from, long to) {
    CoreKernels.layerNorm(
        x.address(),
        x.stride(0),
        weight.address(),
        bias.address(),
        out.address(),
        out.stride(0),
        from,
        to,
        x.size(1),
        eps);
  }

  @Override
  public void addBias(
      Tensor x, Tensor bias, Activation activation, Tensor out, long from, long to) {
    CoreKernels.addBias(
        activation.ordinal(),
        x.address(),
        x.stride(0),
        bias.address(),
        out.address(),
        out.stride(0),
        from,
        to,
        x.size(1));
  }
}
