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
    /** Of queries from the position {@code first} to {@code last}. */
    static Rows of(PagedStore store, long first, long last) {
      int length = Math.toIntExact(last + 1);
      RowReader reader = new RowReader(store);
      Rows rows =
          new Rows(
              store,
              new double[length][],
              new double[length][],
              new double[length][],
              new double[length][]);
      for (int s = 0; s < store.border(last); s++) {
        rows.agedKeys[s] = reader.key(s, last);
        rows.agedValues[s] = reader.value(s, last);
      }
      for (int s = (int) Math.max(store.border(first), store.firstHeld()); s < length; s++) {
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

  /** What queries see: query t the tokens {@code [from[t], to[t])}. */
  private record Seen(long[] from, long[] to) {
    static Seen causal(PagedStore store, long queries) {
      Seen seen = new Seen(new long[(int) queries], new long[(int) queries]);
      for (int t = 0; t < queries; t++) {
        seen.to[t] = store.length() - queries + t + 1;
      }
      return seen;
    }

    Rows rows(PagedStore store) {
      return Rows.of(store, to[0] - 1, to[to.length - 1] - 1);
    }
  }

  /** Takes the result of a row, and the logarithm of the sum of its exponentials. */
  private interface RowWriter {
    void write(long t, long head, double[] values, double logSum);
  }

  @Override
  public void attend(Tensor q, PagedStore store, float scale, Tensor out) {
    Elements to = out.accessor();
    attend(
        q,
        store,
        Seen.causal(store, q.size(0)),
        scale,
        (t, head, values, logSum) -> {
          for (int i = 0; i < values.length; i++) {
            to.set(t * out.stride(0) + head * out.stride(1) + i, values[i]);
          }
        });
  }

  @Override
  public void attendPart(
      Tensor q, PagedStore store, Tensor from, Tensor to, float scale, Tensor out, Tensor logSums) {
    Elements outputs = out.accessor();
    Elements sums = logSums.accessor();
    attend(
        q,
        store,
        new Seen(from.toLongs(), to.toLongs()),
        scale,
        (t, head, values, logSum) -> {
          long at = t * logSums.stride(0) + head;
          double before = sums.get(at);
          if (logSum == Double.NEGATIVE_INFINITY) {
            return; // saw nothing
          }
          double most = Math.max(before, logSum);
          double oldWeight = Math.exp(before - most);
          double newWeight = Math.exp(logSum - most);
          for (int i = 0; i < values.length; i++) {
            long o = t * out.stride(0) + head * out.stride(1) + i;
            double old = oldWeight == 0 ? 0 : oldWeight * outputs.get(o);
            outputs.set(o, (old + newWeight * values[i]) / (oldWeight + newWeight));
          }
          sums.set(at, most + Math.log(oldWeight + newWeight));
        });
  }

  private static void attend(Tensor q, PagedStore store, Seen seen, float scale, RowWriter out) {
    long heads = q.size(1);
    Rows rows = seen.rows(store);
    Threads.forRanges(
        q.size(0) * heads,
        1,
        (from, to) -> {
          for (long row = from; row < to; row++) {
            attendRow(q, store, seen, rows, scale, row / heads, row % heads, out);
          }
        });
  }

  private static void attendRow(
      Tensor q,
      PagedStore store,
      Seen seen,
      Rows rows,
      float scale,
      long t,
      long head,
      RowWriter out) {
    PageLayout layout = store.layout();
    int dim = layout.headDim();
    int channel = (int) (head / (q.size(1) / layout.kvHeads())) * dim;
    Elements query = q.accessor();
    long queryAt = t * q.stride(0) + head * q.stride(1);
    int first = (int) seen.from[(int) t];
    long position = seen.to[(int) t] - 1;
    double[] weights = new double[(int) Math.max(0, position + 1 - first)];
    for (int s = 0; s < weights.length; s++) {
      double[] key = rows.keys(first + s, position)[first + s];
      double dot = 0;
      for (int i = 0; i < dim; i++) {
        dot += query.get(queryAt + i) * key[channel + i];
      }
      weights[s] = scale * dot;
    }
    double logSum = softmax(weights);
    double[] sums = new double[dim];
    for (int s = 0; s < weights.length; s++) {
      double[] value = rows.values(first + s, position)[first + s];
      for (int i = 0; i < sums.length; i++) {
        sums[i] += weights[s] * value[channel + i];
      }
    }
    out.write(t, head, sums, logSum);
  }

  /** Makes weights of scores and returns the logarithm of the sum of their exponentials. */
  private static double softmax(double[] x) {
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
    return max == Double.NEGATIVE_INFINITY ? max : max + Math.log(sum);
  }
}
