package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.internal.Cancellation;
import io.github.lightning4j.core.internal.CrowdWarning;
import io.github.lightning4j.core.internal.WorkerPool;
import java.lang.System.Logger.Level;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;

/**
 * The one thread pool of the process. Operators split their output among its workers; how it is
 * split never changes a result.
 *
 * <p>The calling thread works too, so {@code use(1)} means no workers. Idle workers spin for some
 * microseconds, then sleep. A call made while the pool serves another caller, or from inside a
 * worker, runs on the calling thread alone.
 */
public final class Threads {
  /** More threads than this are refused: they would be a slip of the finger, and not start. */
  public static final int MAX = 1024;

  private static final CrowdWarning CROWD = new CrowdWarning();

  private static volatile WorkerPool pool = new WorkerPool(first());

  private Threads() {}

  /** A piece of work: the half-open range {@code [from, to)}. */
  @FunctionalInterface
  public interface RangeTask {
    /** Does the part {@code [from, to)}. */
    void run(long from, long to);
  }

  private static int first() {
    int processors = Math.min(MAX, Runtime.getRuntime().availableProcessors());
    int wanted = Integer.getInteger("lightning4j.threads", processors);
    if (wanted < 1 || wanted > MAX) {
      System.getLogger(Threads.class.getName())
          .log(
              Level.WARNING,
              "lightning4j.threads: expected 1 to {0}, got {1}; {2} are used",
              MAX,
              wanted,
              processors);
      return processors;
    }
    CROWD.look(wanted);
    return wanted;
  }

  /**
   * Sets how many threads work on an operator, the caller included. Work under way ends on the old
   * pool. The default is the number of processors, or the system property {@code
   * lightning4j.threads}. More than processors work too, with the same results, and are slower: a
   * warning says so once.
   *
   * @param threads 1 to {@value #MAX}
   * @throws IllegalArgumentException if out of range; nothing has changed then
   */
  public static synchronized void use(int threads) {
    checkArgument(
        threads >= 1 && threads <= MAX, "threads: expected 1 to %s, got %s", MAX, threads);
    if (threads != pool.size()) {
      CROWD.look(threads);
      WorkerPool old = pool;
      pool = new WorkerPool(threads);
      old.shutdown();
    }
  }

  /** The number of threads in use, the caller included. */
  public static int count() {
    return pool.size();
  }

  /**
   * Runs {@code task} over {@code [0, n)}, cut into ranges whose borders are multiples of {@code
   * grain}; returns when all are done.
   *
   * @param n the size of the work
   * @param grain the smallest range worth handing out; {@code n <= grain} runs on the caller
   * @throws RuntimeException the first failure of a range, after all ranges have ended
   * @throws CancellationException within {@link #cancellable}, if it is; no range runs any more
   * @throws IllegalStateException if this thread is making a {@link Recording}
   */
  public static void forRanges(long n, long grain, RangeTask task) {
    checkArgument(n >= 0 && grain >= 1, "expected n >= 0 and grain >= 1, got %s and %s", n, grain);
    Recording.refuse();
    if (n > 0) {
      pool.run(n, grain, task);
    }
  }

  /**
   * Runs work that may be ended within its operators: some milliseconds after {@code cancelled}
   * turns true the threads have put down what they had in hand, and the operator under way throws.
   *
   * <p>What it was writing is then half written, outputs and states alike; what came before stands,
   * and nothing leaks. Work that calls no operator of the CPU is not interrupted, nor is a range as
   * small as an operator hands out: of attention over a very long cache such a one may take longer.
   *
   * @param cancelled asked on this thread, before each operator and every few milliseconds within:
   *     has to be quick. Once true, it is not asked again. What it throws ends the work as well
   * @param work runs on this thread; as always it gives the same bits, if it is not cancelled
   * @throws CancellationException if an operator was ended
   */
  public static void cancellable(BooleanSupplier cancelled, Runnable work) {
    Cancellation.during(cancelled, work);
  }
}
