package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.internal.SequenceState;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * What goes on in a session: one call at a time, with the pages set aside that its step may take,
 * within a prompt or not, until closed.
 */
final class SessionUse {
  private enum Status {
    IDLE,
    BUSY,
    BROKEN,
    CLOSED
  }

  private final SequenceState state;
  private final PageReserve pages;
  private final AtomicReference<Status> status = new AtomicReference<>(Status.IDLE);
  private long reserved;

  SessionUse(SequenceState state, PageReserve pages) {
    this.state = state;
    this.pages = pages;
  }

  /** Takes the session for this thread. */
  void enter() {
    Status before = status.compareAndExchange(Status.IDLE, Status.BUSY);
    checkState(before != Status.CLOSED, "session is closed");
    checkState(before != Status.BUSY, "session is in use by another thread");
    checkState(before != Status.BROKEN, "session is broken by an earlier failure; close it");
  }

  /** Frees the session, as broken unless {@code whole}. */
  void leave(boolean whole) {
    release();
    status.set(whole ? Status.IDLE : Status.BROKEN);
  }

  /** For work that only reads the state: the session is as good as before if it fails. */
  void unchanged(Runnable work) {
    enter();
    try {
      work.run();
    } finally {
      leave(true);
    }
  }

  /** For work that reads tokens, within this call alone. */
  void exclusively(int tokens, Runnable work) {
    enter();
    boolean whole = true;
    try {
      reserve(tokens, false, false);
      whole = false;
      work.run();
      whole = true;
    } finally {
      leave(whole);
    }
  }

  /**
   * Sets aside the pages that the next tokens may take, in place of those set aside before, until
   * {@link #leave}.
   *
   * @param guess whether they are drafted
   * @param promptEnds whether they are the last of a prompt
   * @throws PageBudgetException if they are not left; nothing has changed then
   */
  void reserve(int tokens, boolean guess, boolean promptEnds) {
    state.memory().reserve(state.position() + tokens);
    if (pages.isLimited()) {
      release();
      long bytes = state.memory().bytesNeeded(tokens, guess, promptEnds);
      pages.take(bytes);
      reserved = bytes;
    }
  }

  private void release() {
    if (reserved > 0) {
      pages.giveBack(reserved);
      reserved = 0;
    }
  }

  /** From here on the pictures of a prompt stand for their tokens; null: no more. */
  void insert(@Nullable ImagePrompt images) {
    state.insert(images == null ? null : images.rowsBehind(state.position()));
  }

  /** A prompt begins or goes on; a single token behind others is none. */
  void beginPrompt(int tokens, boolean asQuantized) {
    if (tokens > 1 || state.position() == 0) {
      state.beginPrompt(asQuantized);
    }
  }

  /**
   * Ends a prompt that was left halfway. Where the budget has no room for that, it goes on with the
   * next tokens.
   */
  void endOpenPrompt() {
    if (state.inPrompt()) {
      try {
        reserve(0, false, true);
      } catch (PageBudgetException e) {
        return;
      }
      state.endPrompt();
    }
  }

  /** As {@link #endOpenPrompt}, where no call is under way. */
  void leavePrompt() {
    if (status.get() == Status.IDLE) {
      unchanged(this::endOpenPrompt);
    }
  }

  void close() {
    Status before = status.getAndUpdate(now -> now == Status.BUSY ? now : Status.CLOSED);
    checkState(before != Status.BUSY, "session is in use by another thread");
    checkState(before != Status.CLOSED, "session is closed already");
  }
}
