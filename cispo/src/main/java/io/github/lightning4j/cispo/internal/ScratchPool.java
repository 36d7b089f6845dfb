package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import java.util.concurrent.ConcurrentLinkedDeque;

/**
 * Scratch memory of one call: as many pieces as threads were ever at work at the same time, but no
 * more than {@value #MOST}, so that a call stays below 64 MiB on any machine. Threads beyond that
 * have no part in it.
 */
final class ScratchPool implements AutoCloseable {
  /** 30 MiB in the backward pass, beside 32 MiB of logits; 57 MiB in the forward pass. */
  static final int MOST = 30;

  private final ConcurrentLinkedDeque<Memory> idle = new ConcurrentLinkedDeque<>();
  private final long bytes;

  ScratchPool(long bytes) {
    this.bytes = bytes;
  }

  /** Work on the units {@code [from, to)} with scratch memory at an address. */
  @FunctionalInterface
  interface Task {
    void run(long from, long to, long scratch);
  }

  /** Does the units {@code [0, n)} on all threads. */
  void forUnits(long n, Task task) {
    Threads.forRanges(
        n,
        grain(n, Threads.count()),
        (from, to) -> {
          Memory found = idle.pollFirst();
          Memory scratch = found == null ? Memory.allocate(bytes) : found;
          try {
            task.run(from, to, scratch.address());
          } finally {
            idle.addFirst(scratch);
          }
        });
  }

  /** The smallest range that leaves no more ranges than there may be pieces. */
  static long grain(long n, int threads) {
    return threads <= MOST ? 1 : Math.max(1, (n + MOST - 1) / MOST);
  }

  @Override
  public void close() {
    idle.forEach(Memory::close);
  }
}
