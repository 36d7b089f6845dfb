package io.github.lightning4j.attention;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** Outputs of what slot -1 skips: zeros. */
final class Skipped {
  /** Tokens written at a time, so that room for zeros does not grow with the sequence. */
  private static final long STRIP = 64;

  private Skipped() {}

  /** Clears all of {@code [T, H, Dv]}. */
  static void clear(Tensor out) {
    long strip = Math.min(STRIP, out.size(0));
    try (Tensor zeros = Tensor.allocate(out.dtype(), strip, out.size(1), out.size(2))) {
      for (long from = 0; from < out.size(0); from += strip) {
        long count = Math.min(strip, out.size(0) - from);
        out.narrow(0, from, count).copyFrom(zeros.narrow(0, 0, count));
      }
    }
  }

  /** Clears the rows of {@code [B, H, Dv]} that have no slot. */
  static void clear(Tensor out, Tensor slots) {
    Elements indices = slots.accessor();
    for (long row = 0; row < out.size(0); row++) {
      if (indices.getLong(row) < 0) {
        clear(out.narrow(0, row, 1));
      }
    }
  }
}
