package io.github.lightning4j.jmh.peer;

import io.github.lightning4j.core.Threads;

/**
 * One token of lightning attention as one would write it in Java: {@code S = lambda S + k^T v, o =
 * q S}, head by head over arrays, heads spread over {@link Threads}.
 *
 * <p>Arrays are row-major: q, k, v, out {@code [B, H, D]}, states {@code [S, H, D, D]}.
 */
public final class JavaDecode {
  private final int heads;
  private final int size;
  private final float[] lambda;

  /** For heads of one size that forget at given rates. */
  public JavaDecode(int size, float[] lambda) {
    this.heads = lambda.length;
    this.size = size;
    this.lambda = lambda.clone();
  }

  /** Updates the states named by {@code slots}, one a row, and computes {@code out}. */
  public void decode(float[] q, float[] k, float[] v, float[] states, int[] slots, float[] out) {
    Threads.forRanges(
        (long) slots.length * heads,
        1,
        (from, to) -> {
          for (int i = (int) from; i < to; i++) {
            int state = (slots[i / heads] * heads + i % heads) * size * size;
            head(q, k, v, i * size, lambda[i % heads], states, state, out);
          }
        });
  }

  private void head(
      float[] q, float[] k, float[] v, int at, float decay, float[] s, int state, float[] out) {
    for (int e = 0; e < size; e++) {
      out[at + e] = 0;
    }
    for (int d = 0; d < size; d++) {
      int row = state + d * size;
      float key = k[at + d];
      float query = q[at + d];
      for (int e = 0; e < size; e++) {
        float updated = decay * s[row + e] + key * v[at + e];
        s[row + e] = updated;
        out[at + e] += query * updated;
      }
    }
  }
}
