package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.moe.comm.RankFailedException;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * What one rank knows of the others: who failed first, and who has closed which communicator after
 * how many operations. Thread-safe.
 */
public final class Roster {
  /** The number of the communicator of all ranks. */
  static final int WORLD = 0;

  private final int size;
  private final Map<Long, Long> left = new HashMap<>();
  private Set<Integer> kept = Set.of(WORLD);
  private int next = WORLD + 1;
  private volatile @Nullable Failure failure;
  private volatile boolean someLeft;

  /**
   * The rank because of which nobody can go on.
   *
   * @param rank its number in the world
   * @param reason what happened to it
   */
  public record Failure(int rank, String reason) {}

  Roster(int size) {
    this.size = size;
  }

  /** Applies what a rank told. */
  void apply(int from, Notice notice) {
    switch (notice.kind()) {
      case ALIVE -> {}
      case LEFT -> left(from, notice.number(), notice.operations());
      case FAILED -> failed(notice.number(), notice.reason());
    }
  }

  /** Notes a failure; only the first counts. Returns whether this was the first. */
  synchronized boolean failed(int rank, String reason) {
    if (failure != null) {
      return false;
    }
    failure = new Failure(rank, reason);
    return true;
  }

  private synchronized void left(int rank, int context, long operations) {
    if (isOfUse(context)) {
      left.put(key(rank, context), operations);
      someLeft = true;
    }
  }

  /**
   * Forgets who has left communicators that this rank has no more use for.
   *
   * @param contexts the numbers of those it uses
   * @param next the lowest number that one of later can get
   */
  synchronized void keep(Set<Integer> contexts, int next) {
    this.kept = Set.copyOf(contexts);
    this.next = next;
    left.keySet().removeIf(key -> !isOfUse(key.intValue()));
  }

  private boolean isOfUse(int context) {
    return context >= next || kept.contains(context);
  }

  /** The first failure, or null. */
  @Nullable Failure failure() {
    return failure;
  }

  /**
   * Refuses to go on after a failure.
   *
   * @throws RankFailedException naming the rank
   */
  void ensureHealthy() {
    Failure known = failure;
    if (known != null) {
      throw new RankFailedException(known.rank(), size, known.reason());
    }
  }

  /** The first failure, where there is one. */
  Failure firstFailure() {
    return Objects.requireNonNull(failure);
  }

  /** Whether a rank has closed the communicator of all ranks. */
  synchronized boolean hasLeft(int rank) {
    return left.containsKey(key(rank, WORLD));
  }

  /** Whether all ranks but one have closed the communicator of all ranks. */
  synchronized boolean haveAllLeftBut(int rank) {
    for (int other = 0; other < size; other++) {
      if (other != rank && !left.containsKey(key(other, WORLD))) {
        return false;
      }
    }
    return true;
  }

  /** Waits, polling, until all ranks but one have closed the communicator of all, or one failed. */
  void awaitAllLeftBut(int rank, Runnable poll) {
    for (int round = 0; !haveAllLeftBut(rank) && failure == null; round++) {
      poll.run();
      Idle.pause(round);
    }
    poll.run();
  }

  /** Who will never take part in this operation because it has closed the communicator. */
  @Nullable Failure missing(Group group, long operation) {
    if (!someLeft) {
      return null;
    }
    synchronized (this) {
      for (int rank : group.ranks()) {
        Long operations = left.get(key(rank, group.context()));
        if (operations != null && operations <= operation) {
          return new Failure(
              rank,
              "it closed the communicator after " + operations + " operations while others go on");
        }
      }
    }
    return null;
  }

  private static long key(int rank, int context) {
    return (long) rank << 32 | context;
  }
}
