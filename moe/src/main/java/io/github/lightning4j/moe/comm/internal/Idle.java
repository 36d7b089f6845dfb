package io.github.lightning4j.moe.comm.internal;

import java.util.concurrent.locks.LockSupport;

/** How to wait for something that has to be polled: short waits spin, long ones sleep. */
final class Idle {
  private static final int SPINS = 64;
  private static final int YIELDS = 2000;
  private static final long NAP = 50_000;

  private Idle() {}

  /** Passes a moment; {@code round} counts the polls in vain so far. */
  static void pause(int round) {
    if (round < SPINS) {
      Thread.onSpinWait();
    } else if (round < YIELDS) {
      Thread.yield();
    } else {
      LockSupport.parkNanos(NAP);
    }
  }
}
