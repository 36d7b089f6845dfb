package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Tensor;

/** The definition over plain arrays in double: no pages, no running maximum. */
final class DenseAttention {
  private DenseAttention() {}

  /** Outputs of queries {@code [T, heads, dim]} at the last T positions of k and v. */
  static double[] of(Tensor q, Tensor k, Tensor v, double scale) {
    double[] queries = q.toDoubles();
    double[] keys = k.toDoubles();
    double[] values = v.toDoubles();
    int count = (int) q.size(0);
    int heads = (int) q.size(1);
    int dim = (int) q.size(2);
    int kvHeads = (int) k.size(1);
    int length = (int) k.size(0);
    double[] out = new double[queries.length];
    for (int row = 0; row < count * heads; row++) {
      int kvHead = row % heads / (heads / kvHeads);
      int visible = length - count + row / heads + 1;
      double[] scores = new double[visible];
      double max = Double.NEGATIVE_INFINITY;
      for (int s = 0; s < visible; s++) {
        for (int i = 0; i < dim; i++) {
          scores[s] += scale * queries[row * dim + i] * keys[(s * kvHeads + kvHead) * dim + i];
        }
        max = Math.max(max, scores[s]);
      }
      double sum = 0;
      for (double score : scores) {
        sum += Math.exp(score - max);
      }
      for (int s = 0; s < visible; s++) {
        double weight = Math.exp(scores[s] - max) / sum;
        for (int i = 0; i < dim; i++) {
          out[row * dim + i] += weight * values[(s * kvHeads + kvHead) * dim + i];
        }
      }
    }
    return out;
  }
}
