package io.github.lightning4j.core.testkit;

import io.github.lightning4j.core.Memory;

/** The check that calls leave nothing behind. */
public final class FlatMemory {
  private FlatMemory() {}

  /**
   * Runs an action {@code calls} times and fails if memory outside the heap grew.
   *
   * @param what the name, for the message
   */
  public static void assertFlat(String what, int calls, Runnable action) {
    action.run();
    long before = Memory.liveBytes();
    for (int i = 0; i < calls; i++) {
      action.run();
    }
    long after = Memory.liveBytes();
    if (after != before) {
      throw new AssertionError(
          what + ": " + (after - before) + " bytes left after " + calls + " calls");
    }
  }
}
