package io.github.lightning4j.core;

import static com.google.common.base.Preconditions.checkArgument;

/** There is not enough memory outside the Java heap. */
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
            + " bytes are held"
            + available()
            + "); close what is not needed, or use a smaller model, context or batch");
  }

  private static String available() {
    long bytes = SystemMemory.available();
    return bytes == Long.MAX_VALUE ? "" : ", " + bytes + " are available";
  }

  private OutOfNativeMemoryException(String message) {
    super(message);
  }

  /**
   * Refuses, before any of it is taken, what the system could grant and not back: a process that
   * fills more memory than there is may be killed.
   *
   * @param what what the memory is for, as the start of a sentence
   * @param need bytes it takes
   * @param have bytes that are there, as {@link SystemMemory#available} tells
   * @param wayOut what to do about it
   * @throws OutOfNativeMemoryException if it needs more than there is
   */
  public static void check(String what, long need, long have, String wayOut) {
    checkArgument(need >= 0, "need: expected >= 0, got %s", need);
    if (need > have) {
      throw new OutOfNativeMemoryException(
          what + " need " + need + " bytes of memory, and " + have + " are available; " + wayOut);
    }
  }
}
