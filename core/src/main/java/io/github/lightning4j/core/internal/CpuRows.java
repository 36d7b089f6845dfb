package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Tensor;

/** The kernels of {@code rows_kernels.h}. */
final class CpuRows implements RowKernels {
  @Override
  public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, long from, long to) {
    CoreKernels.rmsNorm(
        weight.dtype().ordinal(),
        x.address(),
        x.stride(0),
        weight.address(),
        out.address(),
        out.stride(0),
        from,
        to,
        x.size(1),
        eps);
  }

  @Override
  public void scaledSum(
      Tensor x, float alpha, Tensor y, float beta, Tensor out, long from, long to) {
    long row = x.size(1) * 4;
    CoreKernels.scaledSum(
        x.address() + from * row,
        alpha,
        y.address() + from * row,
        beta,
        out.address() + from * row,
        (to - from) * x.size(1));
  }

  @Override
  public void sumNorm(
      Tensor x,
      float alpha,
      Tensor y,
      float beta,
      Tensor weight,
      float eps,
      Tensor sum,
      Tensor normed,
      long from,
      long to) {
    CoreKernels.sumNorm(
        weight.dtype().ordinal(),
        x.address(),
        alpha,
        y.address(),
        beta,
        weight.address(),
        sum.address(),
        normed.address(),
        from,
        to,
        x.size(1),
        eps);
  }

  @Override
  public void rope(Tensor x, Tensor invFreq, long firstPosition, long from, long to) {
    CoreKernels.rope(
        x.address(),
        x.stride(0),
        x.stride(1),
        from,
        to,
        x.size(1),
        invFreq.size(0) * 2,
        invFreq.address(),
        firstPosition);
  }

  @Override
  public void gatherRows(Tensor table, Tensor ids, Tensor out, long from, long to) {
    CoreKernels.gatherRows(
        table.dtype().ordinal(),
        table.address(),
        table.size(1),
        ids.address(),
        out.address(),
        out.stride(0),
        from,
        to);
  }
}
