package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Tensor;

/** The kernels of {@code store_kernels.h}. */
final class CpuStore implements StoreKernels {
  @Override
  public void append(PagedStore store, long first, Tensor k, Tensor v, long from, long to) {
    KvQuantKernels.append(
        store.layout().dtype().ordinal(),
        store.tableAddress(),
        store.layout().kvHeads(),
        store.layout().headDim(),
        k.address(),
        k.stride(0),
        k.stride(1),
        v.address(),
        v.stride(0),
        v.stride(1),
        first,
        from,
        to);
  }

  @Override
  public void read(PagedStore store, Tensor outK, Tensor outV, long from, long to) {
    KvQuantKernels.read(
        store.layout().dtype().ordinal(),
        store.tableAddress(),
        store.layout().kvHeads(),
        store.layout().headDim(),
        outK.address(),
        outK.stride(0),
        outK.stride(1),
        outV.address(),
        outV.stride(0),
        outV.stride(1),
        from,
        to);
  }
}
