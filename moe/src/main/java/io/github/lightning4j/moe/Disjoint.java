package io.github.lightning4j.moe;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;

/** The check that an output is not written over an input that is still to be read. */
final class Disjoint {
  private Disjoint() {}

  /**
   * Refuses overlapping memory, and memory that must not be written.
   *
   * @throws IllegalArgumentException naming both if they overlap, or {@code out} if it is read-only
   */
  static void check(String outName, Tensor out, String name, Tensor tensor) {
    Checks.writable(outName, out);
    if (Checks.overlap(out, tensor)) {
      throw new IllegalArgumentException(
          outName + ": must not overlap " + name + ", got " + out + " over " + tensor);
    }
  }
}
