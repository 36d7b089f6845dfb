package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Threads.RangeTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Daemon threads that take ranges of one job at a time; see {@link Threads} for the contract. */
public final class WorkerPool {
  /**
   * How often an idle worker looks for work before it sleeps, and one that waits for others before
   * it offers them the processor: some hundred microseconds.
   */
  private static final int SPINS = 10_000;

  /** The same where there are more threads than processors: who spins keeps others from work. */
  private static final int SPINS_CROWDED = 10;

  /** How often an idle worker looks for work there, letting others work in between. */
  private static final int LOOKS_CROWDED = 200;

  static final int PROCESSORS = Runtime.getRuntime().availableProcessors();

  private final int size;
  private final int spins;
  private final Worker[] workers;
  private final AtomicBoolean busy = new AtomicBoolean();
  private volatile @Nullable RangeJob job;
  private volatile boolean stopped;

  /** A pool in which {@code size - 1} workers help the caller. */
  public WorkerPool(int size) {
    this.size = size;
    this.spins = spins(size);
    this.workers = new Worker[size - 1];
    for (int i = 0; i < workers.length; i++) {
      workers[i] = new Worker(i + 1);
      workers[i].start();
    }
  }

  /** Threads that work on a job, the caller included. */
  public int size() {
    return size;
  }

  /** Ends the workers once they are idle. */
  public void shutdown() {
    stopped = true;
    wake();
  }

  /** How often one of so many threads looks at what others do before it lets them have the core. */
  static int spins(int threads) {
    return threads > PROCESSORS ? SPINS_CROWDED : SPINS;
  }

  /** Runs a job to its end; on the caller alone if the pool is taken. */
  public void run(long n, long grain, RangeTask task) {
    Cancellation cancellation = Cancellation.current();
    if (cancellation != null) {
      cancellation.check();
    }
    if (stopped || size == 1 || n <= grain || !busy.compareAndSet(false, true)) {
      alone(n, grain, task, cancellation);
      return;
    }
    try {
      RangeJob mine = new RangeJob(n, grain, task, size, cancellation);
      job = mine;
      wake();
      mine.takePart();
      mine.await(spins);
    } finally {
      job = null;
      busy.set(false);
    }
  }

  private static void alone(
      long n, long grain, RangeTask task, @Nullable Cancellation cancellation) {
    if (cancellation == null) {
      task.run(0, n);
    } else {
      RangeJob mine = new RangeJob(n, grain, task, 1, cancellation);
      mine.takePart();
      mine.await(SPINS);
    }
  }

  /** Waking a thread costs tens of microseconds, so only those asleep are woken. */
  private void wake() {
    for (Worker worker : workers) {
      if (worker.asleep) {
        LockSupport.unpark(worker);
      }
    }
  }

  /** Between two looks at what others are about to end: they may have more threads than cores. */
  static void pause(int looks, int spins) {
    if (looks >= 0 && looks < spins) {
      Thread.onSpinWait();
    } else {
      Thread.yield();
    }
  }

  /** Takes part in one job after another; spins between them for a while, then sleeps. */
  private final class Worker extends Thread {
    volatile boolean asleep;

    Worker(int number) {
      super("lightning4j-" + number);
      setDaemon(true);
    }

    @Override
    public void run() {
      RangeJob last = null;
      int idle = 0;
      while (!stopped) {
        RangeJob current = job;
        if (current != null && current != last) {
          last = current;
          idle = 0;
          current.takePart();
        } else if (idle++ < (spins == SPINS ? SPINS : LOOKS_CROWDED)) {
          pause(idle, spins);
        } else {
          last = null;
          sleep();
        }
      }
    }

    /** Whoever brings a job after the flag is set sees it; one brought before is seen here. */
    private void sleep() {
      asleep = true;
      if (job == null && !stopped) {
        LockSupport.park(WorkerPool.this);
      }
      asleep = false;
    }
  }
}
