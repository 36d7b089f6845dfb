package io.github.lightning4j.minimax.internal;

/** An engine remembers as many sequences as it can. */
public final class TooManySequencesException extends IllegalStateException {
  private static final long serialVersionUID = 1L;

  /** There are that many. */
  public TooManySequencesException(int most) {
    super(most + " sessions are open already, the most of a GPU; close some");
  }
}
