package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Threads;
import java.util.concurrent.ConcurrentLinkedDeque;

/** Scratch memory of one call: as many pieces as threads were ever at work at the same time. */
final class ScratchPool implements AutoCloseable {
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
        1,
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

  @Override
  public void close() {
    idle.forEach(Memory::close);
  }
}
