package io.github.lightning4j.attention;

import io.github.lightning4j.core.Memory;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The most memory outside the heap that is seen while something runs, beyond what was there before.
 */
final class HighWater {
  private HighWater() {}

  /** Looks as often as it can, so what is gone within microseconds may be missed. */
  static long of(Runnable action) {
    long before = Memory.liveBytes();
    AtomicLong most = new AtomicLong(before);
    AtomicBoolean done = new AtomicBoolean();
    Thread watch =
        new Thread(
            () -> {
              while (!done.get()) {
                most.accumulateAndGet(Memory.liveBytes(), Math::max);
                Thread.onSpinWait();
              }
            });
    watch.start();
    try {
      action.run();
    } finally {
      done.set(true);
      join(watch);
    }
    return most.get() - before;
  }

  private static void join(Thread thread) {
    try {
      thread.join();
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
  }
}
