package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Tensor;

/** The kernels of {@code store_kernels.h}. */
final class CpuStore implements StoreKernels {
  private final ReferenceStore quantized = new ReferenceStore();

  @Override
  public void append(PagedStore store, long first, Tensor k, Tensor v, long from, long to) {
    KvQuantKernels.append(
        store.call().address(),
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
  public void appendPacked(PagedStore store, long first, Tensor k, Tensor v, long from, long to) {
    KvQuantKernels.appendPacked(
        store.call().address(),
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
  public void age(PagedStore store, long from, long to) {
    KvQuantKernels.age(store.call().address(), from, to);
  }

  /** Exact caches in native code; quantized ones, where it is for inspection, as the reference. */
  @Override
  public void read(PagedStore store, long first, Tensor outK, Tensor outV, long from, long to) {
    if (store.format().quantizes()) {
      quantized.read(store, first, outK, outV, from, to);
      return;
    }
    KvQuantKernels.read(
        store.call().address(),
        outK.address() - 4 * first * outK.stride(0), // kernels count rows by position
        outK.stride(0),
        outK.stride(1),
        outV.address() - 4 * first * outV.stride(0),
        outV.stride(0),
        outV.stride(1),
        first + from,
        first + to);
  }

  @Override
  public long firstNonFinite(Tensor x) {
    return KvQuantKernels.firstNonFinite(
        x.address(), x.stride(0), x.stride(1), x.size(1), x.size(2), 0, x.size(0));
  }
}
