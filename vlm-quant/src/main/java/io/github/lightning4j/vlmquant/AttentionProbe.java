package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;

/**
 * Attention of a whole sequence, row by row in double, for those who measure where it goes.
 *
 * @param q queries {@code [T, heads, headDim]}, F32, after the rotary embedding; dense last
 *     dimension
 * @param k keys {@code [T, kvHeads, headDim]}, likewise
 * @param scale factor of the scores
 */
record AttentionProbe(Tensor q, Tensor k, float scale) {
  /**
   * Checks types, shapes and the factor.
   *
   * @throws IllegalArgumentException if they do not fit
   */
  AttentionProbe {
    Checks.dtype("q", q, DType.F32);
    Checks.rank("q", q, 3);
    Checks.denseLast("q", q);
    Checks.dtype("k", k, DType.F32);
    Checks.rank("k", k, 3);
    Checks.shape("k", k, q.size(0), k.size(1), q.size(2));
    Checks.denseLast("k", k);
    checkArgument(
        k.size(1) > 0 && q.size(1) % k.size(1) == 0,
        "q: expected a multiple of %s kv heads, got %s heads",
        k.size(1),
        q.size(1));
    checkArgument(Float.isFinite(scale), "scale: expected a finite factor, got %s", scale);
  }

  int heads() {
    return (int) q.size(1);
  }

  /** Pairs of a query and a head: {@code T * heads}. */
  int rows() {
    return Math.multiplyExact((int) q.size(0), heads());
  }

  /** The softmax of a query's scores over the tokens {@code 0 ... t}. */
  double[] weights(int t, int head) {
    double[] weights = scores(t, head);
    double max = Arrays.stream(weights).max().orElse(0);
    double total = 0;
    for (int s = 0; s <= t; s++) {
      weights[s] = Math.exp(weights[s] - max);
      total += weights[s];
    }
    for (int s = 0; s <= t; s++) {
      weights[s] /= total;
    }
    return weights;
  }

  private double[] scores(int t, int head) {
    Elements query = q.accessor();
    Elements key = k.accessor();
    long at = t * q.stride(0) + head * q.stride(1);
    long keyHead = head / (q.size(1) / k.size(1)) * k.stride(1);
    double[] scores = new double[t + 1];
    for (int s = 0; s <= t; s++) {
      double dot = 0;
      for (long i = 0; i < q.size(2); i++) {
        dot += query.get(at + i) * key.get(s * k.stride(0) + keyHead + i);
      }
      scores[s] = scale * dot;
    }
    return scores;
  }
}
