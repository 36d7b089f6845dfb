package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;

/** The kernels of {@code router_kernels.h}. */
final class CpuRouter implements RouterKernels {
  @Override
  public long route(Tensor logits, Tensor outIndex, Tensor outWeight, long from, long to) {
    return MoeKernels.route(
        logits.address(),
        logits.stride(0),
        logits.size(1),
        outIndex.size(1),
        outIndex.address(),
        outIndex.stride(0),
        outWeight.address(),
        outWeight.stride(0),
        from,
        to);
  }

  @Override
  public void backward(
      Tensor logits, Tensor index, Tensor dWeight, Tensor outDLogits, long from, long to) {
    MoeKernels.routeBackward(
        logits.address(),
        logits.stride(0),
        logits.size(1),
        index.size(1),
        index.address(),
        index.stride(0),
        dWeight.address(),
        dWeight.stride(0),
        outDLogits.address(),
        outDLogits.stride(0),
        from,
        to);
  }
}
