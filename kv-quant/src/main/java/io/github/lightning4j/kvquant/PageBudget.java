package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.internal.PageLedger;

/**
 * The memory that the pages of any number of caches may take together, for instance of all sessions
 * of a server. A page shared by forks counts once. Thread-safe.
 */
public final class PageBudget {
  private final PageLedger ledger;

  private PageBudget(long bytes) {
    this.ledger = new PageLedger(bytes);
  }

  /**
   * A budget of so many bytes.
   *
   * @throws IllegalArgumentException if negative
   */
  public static PageBudget ofBytes(long bytes) {
    checkArgument(bytes >= 0, "bytes: expected >= 0, got %s", bytes);
    return new PageBudget(bytes);
  }

  /** No limit but that of the machine; {@link #used} still counts. */
  public static PageBudget unlimited() {
    return new PageBudget(Long.MAX_VALUE);
  }

  /** The limit in bytes. */
  public long limit() {
    return ledger.limit();
  }

  /** Bytes of the pages that are held now. */
  public long used() {
    return ledger.used();
  }

  PageLedger ledger() {
    return ledger;
  }
}
