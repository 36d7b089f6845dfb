package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.moe.comm.PendingTransfer;

/** The handle of an operation under way. */
record PendingExchange(Progress progress, Exchange exchange) implements PendingTransfer {
  @Override
  public boolean isDone() {
    progress.poll();
    return exchange.isDone() || progress.hasFailed();
  }

  @Override
  public void await() {
    progress.await(exchange);
  }
}
