package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.core.Tensor;

/** Target tokens as plain numbers. */
public final class Targets {
  private Targets() {}

  /**
   * Copies them. Whoever indexes by them has to use the copy: the tensor may change at any time.
   *
   * @throws IllegalArgumentException if one is not in {@code [0, words)}
   */
  public static int[] copy(Tensor targets, long words) {
    long[] wide = targets.toLongs();
    int[] copy = new int[wide.length];
    for (int t = 0; t < wide.length; t++) {
      if (wide[t] < 0 || wide[t] >= words) {
        throw new IllegalArgumentException(
            "targets[" + t + "]: expected 0 to " + (words - 1) + ", got " + wide[t]);
      }
      copy[t] = (int) wide[t];
    }
    return copy;
  }
}
