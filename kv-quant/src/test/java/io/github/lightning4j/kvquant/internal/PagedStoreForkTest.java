package io.github.lightning4j.kvquant.internal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import org.junit.jupiter.api.Test;

/** A fork that cannot be completed lets go of what it held already. */
final class PagedStoreForkTest {
  private static final KvCacheConfig CONFIG =
      KvCacheConfig.quantized(
          1,
          32,
          KvFormat.both(
              KvQuantizer.affine(2, 32, Clip.NONE, ScaleFormat.LOG8, ZeroFormat.INTEGER)));

  /** A store with exact pages, two packed pages and a page of sinks. */
  private static PagedStore store(PageLedger ledger) {
    PagedStore store = new PagedStore(CONFIG, ledger, StoreKernels.of(Backend.REFERENCE));
    try (Tensor k = Tensor.allocate(DType.F32, 100, 1, 32)) {
      store.beginPrompt();
      store.append(k, k);
      store.endPrompt(3);
      store.beginPrompt();
      store.append(k, k);
    }
    return store;
  }

  @Test
  void aForkThatFailsOnItsWayKeepsNoPage() {
    long before = Memory.liveBytes();
    PageLedger ledger = new PageLedger(Long.MAX_VALUE);
    PagedStore packed = store(ledger);
    packed.packedPages().get(1).release(); // so that the fork fails behind exact and packed pages
    PagedStore sinks = store(ledger);
    sinks.sinks().own().release();
    for (PagedStore store : new PagedStore[] {packed, sinks}) {
      long live = Memory.liveBytes();
      assertThatThrownBy(store::fork)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("is freed");
      assertThat(Memory.liveBytes()).isEqualTo(live);
      store.close();
    }
    assertThat(ledger.used()).isZero();
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }
}
