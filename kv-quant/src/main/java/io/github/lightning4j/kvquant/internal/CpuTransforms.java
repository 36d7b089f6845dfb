package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Tensor;

/** The kernels of {@code transform_kernels.h}. */
final class CpuTransforms implements TransformKernels {
  @Override
  public void hadamard(Tensor x, int n, Tensor out, long from, long to) {
    KvQuantKernels.hadamard(
        x.address(), x.stride(0), out.address(), out.stride(0), x.size(1), n, from, to);
  }

  @Override
  public void gatherChannels(Tensor x, Tensor index, Tensor out, long from, long to) {
    KvQuantKernels.gatherChannels(
        x.address(),
        x.stride(0),
        out.address(),
        out.stride(0),
        index.address(),
        x.size(1),
        from,
        to);
  }

  @Override
  public void addRow(Tensor x, Tensor row, float factor, Tensor out, long from, long to) {
    KvQuantKernels.addRow(
        x.address(),
        x.stride(0),
        row.address(),
        factor,
        out.address(),
        out.stride(0),
        x.size(1),
        from,
        to);
  }
}
