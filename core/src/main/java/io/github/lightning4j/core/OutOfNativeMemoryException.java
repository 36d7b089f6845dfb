package io.github.lightning4j.core;

/** The operating system refused memory outside the Java heap. */
public final class OutOfNativeMemoryException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  /**
   * A refusal.
   *
   * @param bytes what was asked for
   * @param liveBytes what this library holds already
   */
  public OutOfNativeMemoryException(long bytes, long liveBytes) {
    super(
        "the system refused "
            + bytes
            + " bytes of memory ("
            + liveBytes
            + " bytes are held); close what is not needed, or use a smaller model, context or batch");
  }
}
