package io.github.lightning4j.moe.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** Reads the experts a router chose. */
public final class ExpertIndex {
  private ExpertIndex() {}

  /** Takes the place of a pair, {@code token * slots + slot}, and its expert. */
  @FunctionalInterface
  public interface Visitor {
    /** Called once for each pair, in order. */
    void at(int pair, int expert);
  }

  /**
   * Checks that every entry names an expert.
   *
   * @param index {@code [T, k]} I32
   * @throws IllegalArgumentException naming the first entry outside {@code [0, experts)}, or if
   *     {@code k} is 0 or above {@code experts}
   */
  public static void check(Tensor index, long experts) {
    forEach(index, experts, (pair, expert) -> {});
  }

  /** Checks and visits every entry. */
  public static void forEach(Tensor index, long experts, Visitor visitor) {
    long slots = index.size(1);
    checkArgument(
        slots >= 1 && slots <= experts, "index: expected 1 <= k <= %s, got k = %s", experts, slots);
    Elements chosen = index.accessor();
    int pair = 0;
    for (long t = 0; t < index.size(0); t++) {
      for (long s = 0; s < slots; s++) {
        long expert = chosen.getLong(t * index.stride(0) + s);
        if (expert < 0 || expert >= experts) {
          throw new IllegalArgumentException(
              "index[" + t + ", " + s + "]: expected 0 <= expert < " + experts + ", got " + expert);
        }
        visitor.at(pair++, (int) expert);
      }
    }
  }
}
