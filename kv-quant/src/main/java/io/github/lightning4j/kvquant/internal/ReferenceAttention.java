package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;

/** Scores, their softmax, the weighted sum of values: row by row, in doubles. */
final class ReferenceAttention implements AttentionKernels {
  @Override
  public void attend(Tensor q, PagedStore store, float scale, Tensor out) {
    long heads = q.size(1);
    Elements[] pages = store.elements();
    Threads.forRanges(
        q.size(0) * heads,
        1,
        (from, to) -> {
          for (long row = from; row < to; row++) {
            attendRow(q, store, pages, scale, row / heads, row % heads, out);
          }
        });
  }

  private static void attendRow(
      Tensor q, PagedStore store, Elements[] pages, float scale, long t, long head, Tensor out) {
    PageLayout layout = store.layout();
    long kvHead = head / (q.size(1) / layout.kvHeads());
    Elements query = q.accessor();
    long queryAt = t * q.stride(0) + head * q.stride(1);
    double[] weights = new double[Math.toIntExact(store.length() - q.size(0) + t + 1)];
    for (int s = 0; s < weights.length; s++) {
      long key = layout.key(kvHead, s % PageLayout.TOKENS);
      double dot = 0;
      for (int i = 0; i < layout.headDim(); i++) {
        dot += query.get(queryAt + i) * pages[s / PageLayout.TOKENS].get(key + i);
      }
      weights[s] = scale * dot;
    }
    softmax(weights);
    double[] sums = new double[layout.headDim()];
    for (int s = 0; s < weights.length; s++) {
      long value = layout.value(kvHead, s % PageLayout.TOKENS);
      for (int i = 0; i < sums.length; i++) {
        sums[i] += weights[s] * pages[s / PageLayout.TOKENS].get(value + i);
      }
    }
    Elements to = out.accessor();
    for (int i = 0; i < sums.length; i++) {
      to.set(t * out.stride(0) + head * out.stride(1) + i, sums[i]);
    }
  }

  private static void softmax(double[] x) {
    double max = Double.NEGATIVE_INFINITY;
    for (double score : x) {
      max = Math.max(max, score);
    }
    double sum = 0;
    for (int s = 0; s < x.length; s++) {
      x[s] = Math.exp(x[s] - max);
      sum += x[s];
    }
    for (int s = 0; s < x.length; s++) {
      x[s] /= sum;
    }
  }
}
