package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;

/**
 * Scores, their softmax, the weighted sum of values: row by row, in doubles, over keys and values
 * in the basis they came in.
 */
final class ReferenceAttention implements AttentionKernels {
  /**
   * All rows that queries read: packed or as sinks below the border of the last query, exactly from
   * that of the first on.
   */
  private record Rows(
      PagedStore store,
      double[][] agedKeys,
      double[][] agedValues,
      double[][] exactKeys,
      double[][] exactValues) {
    static Rows of(PagedStore store, long firstQuery) {
      int length = Math.toIntExact(store.length());
      RowReader reader = new RowReader(store);
      Rows rows =
          new Rows(
              store,
              new double[length][],
              new double[length][],
              new double[length][],
              new double[length][]);
      for (int s = 0; s < store.border(length - 1); s++) {
        rows.agedKeys[s] = reader.key(s, length - 1);
        rows.agedValues[s] = reader.value(s, length - 1);
      }
      for (int s = (int) store.border(firstQuery); s < length; s++) {
        rows.exactKeys[s] = s < store.exactStart() ? rows.agedKeys[s] : reader.exactKey(s);
        rows.exactValues[s] = s < store.exactStart() ? rows.agedValues[s] : reader.value(s, true);
      }
      return rows;
    }

    double[][] keys(int s, long position) {
      return s < store.border(position) ? agedKeys : exactKeys;
    }

    double[][] values(int s, long position) {
      return s < store.border(position) ? agedValues : exactValues;
    }
  }

  @Override
  public void attend(Tensor q, PagedStore store, float scale, Tensor out) {
    long heads = q.size(1);
    Rows rows = Rows.of(store, store.length() - q.size(0));
    Threads.forRanges(
        q.size(0) * heads,
        1,
        (from, to) -> {
          for (long row = from; row < to; row++) {
            attendRow(q, store, rows, scale, row / heads, row % heads, out);
          }
        });
  }

  private static void attendRow(
      Tensor q, PagedStore store, Rows rows, float scale, long t, long head, Tensor out) {
    PageLayout layout = store.layout();
    int dim = layout.headDim();
    int channel = (int) (head / (q.size(1) / layout.kvHeads())) * dim;
    Elements query = q.accessor();
    long queryAt = t * q.stride(0) + head * q.stride(1);
    long position = store.length() - q.size(0) + t;
    double[] weights = new double[Math.toIntExact(position + 1)];
    for (int s = 0; s < weights.length; s++) {
      double[] key = rows.keys(s, position)[s];
      double dot = 0;
      for (int i = 0; i < dim; i++) {
        dot += query.get(queryAt + i) * key[channel + i];
      }
      weights[s] = scale * dot;
    }
    softmax(weights);
    double[] sums = new double[dim];
    for (int s = 0; s < weights.length; s++) {
      double[] value = rows.values(s, position)[s];
      for (int i = 0; i < sums.length; i++) {
        sums[i] += weights[s] * value[channel + i];
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
