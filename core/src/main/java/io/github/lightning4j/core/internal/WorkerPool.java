package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Threads.RangeTask;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/** Daemon threads that take ranges of one job at a time; see {@link Threads} for the contract. */
public final class WorkerPool {
  /**
   * How often an idle worker looks for work before it sleeps, and one that waits for others before
   * it offers them the processor: some hundred microseconds.
   */
  private static final int SPINS = 10_000;

  private final int size;
  private final Worker[] workers;
  private final AtomicBoolean busy = new AtomicBoolean();
  private volatile @Nullable Job job;
  private volatile boolean stopped;

  /** A pool in which {@code size - 1} workers help the caller. */
  public WorkerPool(int size) {
    this.size = size;
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

  /** Runs a job to its end; on the caller alone if the pool is taken. */
  public void run(long n, long grain, RangeTask task) {
    if (stopped || !busy.compareAndSet(false, true)) {
      task.run(0, n);
      return;
    }
    try {
      Job mine = new Job(n, grain, task, size);
      job = mine;
      wake();
      mine.takePart();
      mine.await();
    } finally {
      job = null;
      busy.set(false);
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
  static void pause(int looks) {
    if (looks >= 0 && looks < SPINS) {
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
      Job last = null;
      int idle = 0;
      while (!stopped) {
        Job current = job;
        if (current != null && current != last) {
          last = current;
          idle = 0;
          current.takePart();
        } else if (idle++ < SPINS) {
          Thread.onSpinWait();
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

  /** One piece of work, handed out range by range. */
  private static final class Job {
    private static final long RANGES_EACH = 8;

    private final long n;
    private final long step;
    private final RangeTask task;
    private final AtomicLong next = new AtomicLong();
    private final AtomicInteger pending;
    private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

    Job(long n, long grain, RangeTask task, int threads) {
      this.n = n;
      // Several ranges a thread, so that a slow one does not hold up the rest for long.
      long wanted = (n + threads * RANGES_EACH - 1) / (threads * RANGES_EACH);
      this.step = (wanted + grain - 1) / grain * grain;
      this.task = task;
      this.pending = new AtomicInteger((int) ((n + step - 1) / step));
    }

    void takePart() {
      for (long from = next.getAndAdd(step); from < n; from = next.getAndAdd(step)) {
        try {
          task.run(from, Math.min(n, from + step));
        } catch (Throwable e) {
          failure.compareAndSet(null, e);
        }
        pending.decrementAndGet();
      }
    }

    void await() {
      for (int looks = 0; pending.get() > 0; looks++) {
        pause(looks);
      }
      Throwable thrown = failure.get();
      if (thrown instanceof RuntimeException e) {
        throw e;
      }
      if (thrown instanceof Error e) {
        throw e;
      }
    }
  }
}
