package io.github.lightning4j.kvquant;

/**
 * A {@link PageBudget} has no room for another page. The cache that asked holds what it held
 * before; the call can be repeated once other caches are closed or truncated.
 */
public final class PageBudgetException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final long needed;
  private final long used;
  private final long limit;

  /** So many bytes were needed while so many of the limit were used. */
  public PageBudgetException(long needed, long used, long limit) {
    super(
        "page budget: "
            + needed
            + " bytes needed, "
            + used
            + " of "
            + limit
            + " used; close or truncate a cache, or raise the budget");
    this.needed = needed;
    this.used = used;
    this.limit = limit;
  }

  /** Bytes that were asked for. */
  public long needed() {
    return needed;
  }

  /** Bytes in use when they were. */
  public long used() {
    return used;
  }

  /** The budget in bytes. */
  public long limit() {
    return limit;
  }
}
