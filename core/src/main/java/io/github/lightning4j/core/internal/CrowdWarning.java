package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Threads;
import java.lang.System.Logger.Level;
import java.util.concurrent.atomic.AtomicBoolean;

/** Says once that there are more threads than processors: allowed, and slower. */
public final class CrowdWarning {
  private final AtomicBoolean told = new AtomicBoolean();

  /** Looks at a number of threads that is about to be used. */
  public void look(int threads) {
    if (threads > WorkerPool.PROCESSORS && told.compareAndSet(false, true)) {
      System.getLogger(Threads.class.getName())
          .log(
              Level.WARNING,
              "threads: {0} on {1} processors: results are the same, but threads wait for one"
                  + " another; up to {1} are faster",
              threads,
              WorkerPool.PROCESSORS);
    }
  }
}
