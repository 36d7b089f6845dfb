package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** Element by element. */
final class ReferenceStore implements StoreKernels {
  @Override
  public void append(PagedStore store, long first, Tensor k, Tensor v, long from, long to) {
    Elements keys = k.accessor();
    Elements values = v.accessor();
    PageLayout layout = store.layout();
    Elements[] pages = store.elements();
    for (long t = from; t < to; t++) {
      Elements page = pages[(int) ((first + t) / PageLayout.TOKENS)];
      long slot = (first + t) % PageLayout.TOKENS;
      for (long h = 0; h < layout.kvHeads(); h++) {
        for (long i = 0; i < layout.headDim(); i++) {
          page.set(layout.key(h, slot) + i, keys.get(t * k.stride(0) + h * k.stride(1) + i));
          page.set(layout.value(h, slot) + i, values.get(t * v.stride(0) + h * v.stride(1) + i));
        }
      }
    }
  }

  @Override
  public void read(PagedStore store, Tensor outK, Tensor outV, long from, long to) {
    Elements keys = outK.accessor();
    Elements values = outV.accessor();
    PageLayout layout = store.layout();
    Elements[] pages = store.elements();
    for (long t = from; t < to; t++) {
      Elements page = pages[(int) (t / PageLayout.TOKENS)];
      long slot = t % PageLayout.TOKENS;
      for (long h = 0; h < layout.kvHeads(); h++) {
        for (long i = 0; i < layout.headDim(); i++) {
          keys.set(t * outK.stride(0) + h * outK.stride(1) + i, page.get(layout.key(h, slot) + i));
          values.set(
              t * outV.stride(0) + h * outV.stride(1) + i, page.get(layout.value(h, slot) + i));
        }
      }
    }
  }
}
