package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.internal.PagedStore;

/** Checks of keys and values that go into a cache or come out of it. */
final class RowChecks {
  private RowChecks() {}

  static void rows(String name, Tensor tensor, long tokens, KvCacheConfig config) {
    Checks.dtype(name, tensor, DType.F32);
    if (tensor.rank() != 3
        || tensor.size(0) != tokens
        || tensor.size(1) != config.kvHeads()
        || tensor.size(2) != config.headDim()) { // spelled out: a decode step allocates nothing
      Checks.shape(name, tensor, tokens, config.kvHeads(), config.headDim());
    }
    Checks.denseLast(name, tensor);
  }

  /** Tokens from {@code first} on, as many as there are rows. */
  static void range(long first, Tensor outK, Tensor outV, PagedStore store, KvCacheConfig config) {
    Checks.rank("outK", outK, 3);
    long count = outK.size(0);
    rows("outK", outK, count, config);
    rows("outV", outV, count, config);
    checkArgument(
        first >= store.firstHeld() && first <= store.length() - count,
        "first: expected %s to %s for %s of %s tokens, got %s",
        store.firstHeld(),
        store.length() - count,
        count,
        store.length(),
        first);
    Checks.writable("outK", outK);
    Checks.writable("outV", outV);
  }
}
