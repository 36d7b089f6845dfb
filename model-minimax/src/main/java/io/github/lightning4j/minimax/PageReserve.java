package io.github.lightning4j.minimax;

import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.PageBudgetException;

/**
 * Sets aside what the steps under way may take of a budget, so that none of them runs out of pages
 * within the layers, where it could not be taken back. What a step has taken counts twice until it
 * ends. Thread-safe.
 */
final class PageReserve {
  private final PageBudget budget;
  private long reserved;

  PageReserve(PageBudget budget) {
    this.budget = budget;
  }

  PageBudget budget() {
    return budget;
  }

  boolean isLimited() {
    return budget.limit() < Long.MAX_VALUE;
  }

  /**
   * Sets bytes aside.
   *
   * @throws PageBudgetException if they are not left
   */
  synchronized void take(long bytes) {
    long used = budget.used() + reserved;
    if (bytes > budget.limit() - used) {
      throw new PageBudgetException(bytes, used, budget.limit());
    }
    reserved += bytes;
  }

  synchronized void giveBack(long bytes) {
    reserved -= bytes;
  }
}
