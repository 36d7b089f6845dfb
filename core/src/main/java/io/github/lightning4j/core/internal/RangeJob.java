package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Threads.RangeTask;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * One piece of work, handed out range by range. Where it can be cancelled, ranges are run in pieces
 * of some milliseconds, as those before took: the caller asks before each of its own whether to go
 * on, and the others look at what it has heard.
 */
final class RangeJob {
  private static final long RANGES_EACH = 8;

  /** The first piece of a range, of which nothing is known yet, is one of so many. */
  private static final long FIRST_PIECES = 8;

  private static final long PIECE_NANOS = 5_000_000;

  /** How often the caller looks for the end of the others between two questions. */
  private static final int LOOKS = 1000;

  private final long n;
  private final long grain;
  private final long step;
  private final RangeTask task;
  private final @Nullable Cancellation cancellation;
  private final Thread caller = Thread.currentThread();
  private final AtomicLong next = new AtomicLong();
  private final AtomicInteger pending;
  private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();
  private volatile boolean cancelled;
  private volatile long piece;

  /** A job of this thread. */
  RangeJob(long n, long grain, RangeTask task, int threads, @Nullable Cancellation cancellation) {
    this.n = n;
    this.grain = grain;
    // Several ranges a thread, so that a slow one does not hold up the rest for long.
    long wanted = (n + threads * RANGES_EACH - 1) / (threads * RANGES_EACH);
    this.step = (wanted + grain - 1) / grain * grain;
    this.task = task;
    this.cancellation = cancellation;
    this.pending = new AtomicInteger((int) ((n + step - 1) / step));
    this.piece = wholeGrains(step / FIRST_PIECES);
  }

  private long wholeGrains(long units) {
    return Math.max(1, Math.min(units, step) / grain) * grain;
  }

  /** Takes ranges until none is left. */
  void takePart() {
    for (long from = next.getAndAdd(step); from < n; from = next.getAndAdd(step)) {
      try {
        long to = Math.min(n, from + step);
        if (cancellation == null) {
          task.run(from, to);
        } else {
          runInPieces(cancellation, from, to);
        }
      } catch (Throwable e) {
        failure.compareAndSet(null, e);
      }
      pending.decrementAndGet();
    }
  }

  private void runInPieces(Cancellation asked, long from, long to) {
    for (long at = from; at < to && !isCancelled(asked); ) {
      long end = Math.min(to, at + piece);
      long start = System.nanoTime();
      task.run(at, end);
      double nanos = Math.max(1, System.nanoTime() - start);
      piece = wholeGrains((long) (PIECE_NANOS / nanos * (end - at)));
      at = end;
    }
  }

  private boolean isCancelled(Cancellation asked) {
    if (!cancelled && Thread.currentThread() == caller) {
      try {
        cancelled = asked.isCancelled();
      } catch (Throwable e) {
        failure.compareAndSet(null, e);
        cancelled = true;
      }
    }
    return cancelled;
  }

  /** Waits for the others, and throws what failed first. */
  void await(int spins) {
    for (int looks = 0; pending.get() > 0; looks++) {
      if (cancellation != null && looks % LOOKS == LOOKS - 1) {
        isCancelled(cancellation);
      }
      WorkerPool.pause(looks, spins);
    }
    Throwable thrown = failure.get();
    if (thrown instanceof RuntimeException e) {
      throw e;
    }
    if (thrown instanceof Error e) {
      throw e;
    }
    if (cancelled) {
      throw Cancellation.exception();
    }
  }
}
