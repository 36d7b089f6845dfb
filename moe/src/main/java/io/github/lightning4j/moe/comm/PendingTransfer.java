package io.github.lightning4j.moe.comm;

/**
 * A transfer under way. Its tensors must stay open, what is sent unchanged, and what is received
 * unread, until {@link #await} has returned.
 */
public interface PendingTransfer {
  /** Whether the transfer has ended, well or not; {@link #await} tells which without waiting. */
  boolean isDone();

  /**
   * Waits until everything is sent and received; may be called again. Interrupts are not heeded, as
   * the memory is in use.
   *
   * @throws RankMismatchException if the calls of the ranks do not fit together
   * @throws RankFailedException if a rank has failed
   */
  void await();
}
