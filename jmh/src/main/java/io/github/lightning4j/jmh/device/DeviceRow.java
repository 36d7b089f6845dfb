package io.github.lightning4j.jmh.device;

import org.jspecify.annotations.Nullable;

/** One row of the table: what is measured, and what it is to reach. */
interface DeviceRow {
  /** What is measured, as {@code docs/notes/cuda.md} calls it; no two rows have the same. */
  String title();

  /** What it is to reach. */
  Goal goal();

  /** What other rows are held against this one for; null for a row like any other. */
  default Goal.@Nullable Kind yardstick() {
    return null;
  }

  /**
   * Measures it. Tensors come from the scene and are closed with it.
   *
   * @throws Unmeasurable if something is missing that only this row needs
   */
  Measured measure(Scene scene);

  /** Something that a row needs is not on this machine; the message says what. */
  final class Unmeasurable extends RuntimeException {
    private static final long serialVersionUID = 1;

    Unmeasurable(String message) {
      super(message);
    }
  }
}
