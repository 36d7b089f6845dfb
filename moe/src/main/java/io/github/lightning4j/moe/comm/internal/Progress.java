package io.github.lightning4j.moe.comm.internal;

import io.github.lightning4j.moe.comm.RankFailedException;
import io.github.lightning4j.moe.comm.RankMismatchException;
import io.github.lightning4j.moe.comm.internal.Roster.Failure;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/**
 * Drives all operations of one rank. Whoever waits polls; a daemon thread does it for operations
 * that nobody waits for yet, so that they move while the caller computes. Each poll first looks
 * whether a rank has failed; then everything under way is given up, and every waiter is told.
 */
final class Progress {
  private final Transport transport;
  private final HeaderBuffers buffers = new HeaderBuffers();
  private final ReentrantLock lock = new ReentrantLock();
  private final List<Exchange> active = new ArrayList<>();
  private final AtomicInteger waiting = new AtomicInteger();
  private @Nullable Thread background;
  private volatile @Nullable Failure failure;
  private volatile boolean closed;
  private final Set<Integer> contexts = new HashSet<>(Set.of(Roster.WORLD));
  private int nextContext = Roster.WORLD + 1;

  Progress(Transport transport) {
    this.transport = transport;
  }

  Transport transport() {
    return transport;
  }

  /** Proposes a number for a new communicator. */
  int proposeContext() {
    return nextContext;
  }

  /** Notes the number that was agreed on: the largest one proposed. */
  void agreeContext(int context) {
    lock.lock();
    try {
      nextContext = context + 1;
      contexts.add(context);
      forgetClosed();
    } finally {
      lock.unlock();
    }
  }

  /** Notes that this rank has closed a part of the communicator of all ranks. */
  void closePart(int context) {
    lock.lock();
    try {
      contexts.remove(context);
      forgetClosed();
    } finally {
      lock.unlock();
    }
  }

  private void forgetClosed() {
    Set<Integer> used = new HashSet<>(contexts);
    active.forEach(exchange -> used.add(exchange.group().context()));
    transport.roster().keep(used, nextContext);
  }

  /** Begins an operation; operations of one communicator begin in the same order on all ranks. */
  void start(Exchange exchange) {
    lock.lock();
    try {
      ensureHealthy();
      active.add(exchange);
      exchange.start(transport, buffers);
    } finally {
      lock.unlock();
    }
  }

  /** Lets a daemon thread drive what is under way. */
  void driveInBackground() {
    lock.lock();
    try {
      if (background == null) {
        background = new Thread(this::drive, "communicator-progress-" + transport.rank());
        background.setDaemon(true);
        background.start();
      }
      LockSupport.unpark(background);
    } finally {
      lock.unlock();
    }
  }

  /** Waits until an operation has ended. */
  void await(Exchange exchange) {
    await(exchange, Long.MAX_VALUE);
  }

  /**
   * As {@link #await(Exchange)}; calls a rank failed that is silent until this many nanoseconds.
   */
  void await(Exchange exchange, long limitNanos) {
    long start = System.nanoTime();
    waiting.incrementAndGet();
    try {
      for (int round = 0; !exchange.isDone(); round++) {
        if (!poll()) {
          ensureHealthy();
          Idle.pause(round);
        }
        if (System.nanoTime() - start > limitNanos) {
          String reason = "it did not answer within " + limitNanos / 1_000_000_000 + " s";
          transport.roster().failed(exchange.awaited(), reason);
        }
      }
    } finally {
      waiting.decrementAndGet();
    }
    String mismatch = exchange.mismatch();
    if (mismatch != null) {
      throw new RankMismatchException(mismatch);
    }
  }

  /** Goes on with everything under way; returns whether something has ended. */
  boolean poll() {
    if (!lock.tryLock()) {
      return false;
    }
    try {
      int before = active.size();
      if (failure == null) {
        Failure found = findFailure();
        step(found == null);
        if (found != null) {
          giveUp(found);
        }
      }
      return active.size() < before;
    } finally {
      lock.unlock();
    }
  }

  /**
   * Ends what has arrived, and moves payloads unless a rank has failed. An operation that all ranks
   * have taken part in so ends well, even if one of them has left since.
   */
  private void step(boolean move) {
    for (int i = 0; i < active.size(); i++) {
      Exchange exchange = active.get(i);
      exchange.step(transport, buffers, exchange.isBare() || move && mayMove(exchange, i));
    }
    active.removeIf(Exchange::isDone);
  }

  /** Payloads of one communicator move in the order of its operations, as they share a tag. */
  private boolean mayMove(Exchange exchange, int position) {
    for (int i = 0; i < position; i++) {
      Exchange earlier = active.get(i);
      if (earlier.group().context() == exchange.group().context() && !earlier.hasMoved()) {
        return false;
      }
    }
    return true;
  }

  private @Nullable Failure findFailure() {
    Roster roster = transport.roster();
    for (Exchange exchange : active) {
      Failure missing = roster.missing(exchange.group(), exchange.sequence());
      if (missing != null) {
        roster.failed(missing.rank(), missing.reason());
      }
    }
    return roster.failure();
  }

  private void giveUp(Failure found) {
    transport.abandon();
    active.clear();
    failure = found;
    transport.announce(Notice.failed(found));
  }

  /** Tells all that this rank, or one it heard of, cannot go on; gives up everything under way. */
  void fail(int rank, String reason) {
    transport.roster().failed(rank, reason);
    lock.lock();
    try {
      Failure found = findFailure();
      if (failure == null && found != null) {
        giveUp(found);
      }
    } finally {
      lock.unlock();
    }
  }

  /**
   * Refuses to go on after a failure.
   *
   * @throws RankFailedException naming the rank
   */
  void ensureHealthy() {
    Failure known = failure;
    if (known != null) {
      throw new RankFailedException(known.rank(), transport.size(), known.reason());
    }
  }

  boolean hasFailed() {
    return failure != null;
  }

  /** Ends the connection; operations still under way make it a failure of this rank. */
  void close() {
    if (isBusy()) {
      fail(transport.rank(), "it closed the communicator before its operations had ended");
    }
    transport.close(this::poll);
    closed = true;
    LockSupport.unpark(background);
    if (failure == null) {
      buffers.free();
    }
  }

  private boolean isBusy() {
    lock.lock();
    try {
      return !active.isEmpty();
    } finally {
      lock.unlock();
    }
  }

  private void drive() {
    for (int round = 0; !closed && failure == null; round++) {
      if (!isBusy()) {
        LockSupport.park(this);
        round = 0;
      } else if (waiting.get() > 0) {
        LockSupport.parkNanos(100_000);
      } else if (!poll()) {
        Idle.pause(round);
      }
    }
  }
}
