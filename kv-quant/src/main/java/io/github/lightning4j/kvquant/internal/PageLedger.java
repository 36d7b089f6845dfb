package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.kvquant.PageBudgetException;
import java.util.concurrent.atomic.AtomicLong;

/** Counts the bytes of pages against a limit. */
public final class PageLedger {
  private final long limit;
  private final AtomicLong used = new AtomicLong();

  /** A ledger with a limit in bytes. */
  public PageLedger(long limit) {
    this.limit = limit;
  }

  /** Bytes that may be used. */
  public long limit() {
    return limit;
  }

  /** Bytes used now. */
  public long used() {
    return used.get();
  }

  /**
   * Takes bytes.
   *
   * @throws PageBudgetException if they are not left; nothing is taken then
   */
  void take(long bytes) {
    used.accumulateAndGet(
        bytes,
        (before, more) -> {
          if (more > limit - before) {
            throw new PageBudgetException(more, before, limit);
          }
          return before + more;
        });
  }

  void giveBack(long bytes) {
    used.addAndGet(-bytes);
  }
}
