package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Threads;
import java.util.concurrent.CancellationException;
import java.util.function.BooleanSupplier;
import org.jspecify.annotations.Nullable;

/**
 * Whether work of a thread is to end early; see {@link Threads#cancellable}. Asked by that thread
 * alone; once it is, it stays so.
 */
public final class Cancellation {
  private static final ThreadLocal<@Nullable Cancellation> BOUND = new ThreadLocal<>();

  private final BooleanSupplier asked;
  private final @Nullable Cancellation outer;
  private boolean cancelled;
  private boolean asking;

  private Cancellation(BooleanSupplier asked, @Nullable Cancellation outer) {
    this.asked = asked;
    this.outer = outer;
  }

  /** As {@link Threads#cancellable}. */
  public static void during(BooleanSupplier cancelled, Runnable work) {
    bound(new Cancellation(cancelled, BOUND.get()), work);
  }

  /** For work that sees by itself to being cancelled. */
  static void masked(Runnable work) {
    if (BOUND.get() == null) {
      work.run();
    } else {
      bound(null, work);
    }
  }

  private static void bound(@Nullable Cancellation cancellation, Runnable work) {
    Cancellation before = BOUND.get();
    set(cancellation);
    try {
      work.run();
    } finally {
      set(before);
    }
  }

  private static void set(@Nullable Cancellation cancellation) {
    if (cancellation == null) {
      BOUND.remove();
    } else {
      BOUND.set(cancellation);
    }
  }

  /** That of this thread; null: its work runs to the end. */
  public static @Nullable Cancellation current() {
    return BOUND.get();
  }

  /** Asks, unless the answer is known; what the question itself computes is not asked about. */
  boolean isCancelled() {
    if (!cancelled && !asking) {
      asking = true;
      try {
        cancelled = asked.getAsBoolean() || (outer != null && outer.isCancelled());
      } finally {
        asking = false;
      }
    }
    return cancelled && !asking;
  }

  /**
   * Asks.
   *
   * @throws CancellationException if it is
   */
  public void check() {
    if (isCancelled()) {
      throw exception();
    }
  }

  static CancellationException exception() {
    return new CancellationException("cancelled within an operator; its output is half written");
  }
}
