package io.github.lightning4j.moe.comm;

/**
 * The ranks disagree: they called different operations, their sizes do not fit, one refused its
 * arguments, or {@link Communicator#checkSame} found different values. Thrown on every rank with
 * the same message (but on a rank that refused its arguments, which gets its own error); no data
 * was moved, and the communicator can be used further. Ranks in the message are those of the
 * communicator that was called.
 */
public final class RankMismatchException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * A disagreement.
   *
   * @param message which ranks have what
   */
  public RankMismatchException(String message) {
    super(message);
  }
}
