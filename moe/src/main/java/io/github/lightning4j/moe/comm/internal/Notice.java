package io.github.lightning4j.moe.comm.internal;

/**
 * What one rank tells all others besides its messages.
 *
 * @param kind what has happened
 * @param number the rank that failed, or the number of the communicator left
 * @param operations how many operations the sender had begun on the communicator left
 * @param reason why the rank failed
 */
public record Notice(Kind kind, int number, long operations, String reason) {
  /** What has happened. */
  public enum Kind {
    /** Nothing; a sign of life. */
    ALIVE,
    /** The sender has closed a communicator. */
    LEFT,
    /** The sender, or another rank as it noticed, cannot go on. */
    FAILED
  }

  static final Notice SIGN_OF_LIFE = new Notice(Kind.ALIVE, 0, 0, "");

  static Notice left(int context, long operations) {
    return new Notice(Kind.LEFT, context, operations, "");
  }

  static Notice failed(Roster.Failure failure) {
    return new Notice(Kind.FAILED, failure.rank(), 0, failure.reason());
  }
}
