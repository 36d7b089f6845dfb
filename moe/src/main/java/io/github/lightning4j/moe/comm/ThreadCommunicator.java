package io.github.lightning4j.moe.comm;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.moe.comm.internal.Collectives;
import io.github.lightning4j.moe.comm.internal.ThreadTransport;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Ranks that are threads of this JVM: for tests, and for trying a parallel program without a
 * cluster.
 */
public final class ThreadCommunicator {
  private ThreadCommunicator() {}

  /**
   * The communicators of all ranks, for threads of the caller's own. Each must be closed; a thread
   * that ends without doing so, or {@link Communicator#fail}, leaves the others waiting.
   *
   * @param size how many ranks, at least 1
   */
  public static List<Communicator> group(int size) {
    checkArgument(size >= 1, "size: expected >= 1, got %s", size);
    List<Communicator> ranks = new ArrayList<>();
    ThreadTransport.connected(size).forEach(t -> ranks.add(Collectives.world(t)));
    return ranks;
  }

  /**
   * Runs a task on every rank, each on a new thread, and waits for all.
   *
   * <p>If ranks throw, the first to do so for a reason of its own (not because another rank failed)
   * decides: its exception is thrown here, a checked one as the cause of an {@link
   * IllegalStateException}, the exceptions of the others suppressed in it.
   */
  public static void run(int size, RankTask task) {
    List<Communicator> ranks = group(size);
    List<Throwable> thrown = new ArrayList<>();
    List<Thread> threads = new ArrayList<>();
    for (Communicator world : ranks) {
      Thread thread = new Thread(() -> runOne(world, task, thrown), "rank-" + world.rank());
      threads.add(thread);
      thread.start();
    }
    boolean interrupted = false;
    for (Thread thread : threads) {
      while (thread.isAlive()) {
        try {
          thread.join();
        } catch (InterruptedException e) {
          interrupted = true;
          ranks.get(0).fail(e);
        }
      }
    }
    if (interrupted) {
      Thread.currentThread().interrupt();
    }
    rethrow(thrown);
  }

  private static void runOne(Communicator world, RankTask task, List<Throwable> thrown) {
    try (world) {
      try {
        task.run(world);
      } catch (Throwable t) {
        synchronized (thrown) {
          thrown.add(t);
        }
        world.fail(t);
      }
    }
  }

  private static void rethrow(List<Throwable> thrown) {
    if (thrown.isEmpty()) {
      return;
    }
    @Nullable Throwable first = null;
    for (Throwable t : thrown) {
      if (first == null && !(t instanceof RankFailedException)) {
        first = t;
      }
    }
    Throwable cause = first == null ? thrown.get(0) : first;
    thrown.stream().filter(t -> t != cause).forEach(cause::addSuppressed);
    if (cause instanceof RuntimeException e) {
      throw e;
    }
    if (cause instanceof Error e) {
      throw e;
    }
    throw new IllegalStateException("a rank failed: " + cause.getMessage(), cause);
  }
}
