package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** The formulas of {@link io.github.lightning4j.moe.Router}, in double. */
final class ReferenceRouter implements RouterKernels {
  @Override
  public long route(Tensor logits, Tensor outIndex, Tensor outWeight, long from, long to) {
    Elements index = outIndex.accessor();
    Elements weight = outWeight.accessor();
    for (long t = from; t < to; t++) {
      double[] row = Rows.get(logits, t);
      if (!Softmax.defined(row)) {
        return t;
      }
      int[] chosen = Softmax.largest(row, (int) outIndex.size(1));
      double[] w = weights(row, chosen);
      for (int s = 0; s < chosen.length; s++) {
        index.setLong(t * outIndex.stride(0) + s, chosen[s]);
        weight.set(t * outWeight.stride(0) + s, w[s]);
      }
    }
    return -1;
  }

  @Override
  public void backward(
      Tensor logits, Tensor index, Tensor dWeight, Tensor outDLogits, long from, long to) {
    Elements places = index.accessor();
    int k = (int) index.size(1);
    for (long t = from; t < to; t++) {
      double[] dw = Rows.get(dWeight, t);
      int[] chosen = new int[k];
      for (int s = 0; s < k; s++) {
        chosen[s] = (int) places.getLong(t * index.stride(0) + s);
      }
      double[] w = weights(Rows.get(logits, t), chosen);
      double mean = 0;
      for (int s = 0; s < k; s++) {
        mean += w[s] * dw[s];
      }
      double[] gradient = new double[(int) logits.size(1)];
      for (int s = 0; s < k; s++) {
        gradient[chosen[s]] += w[s] * (dw[s] - mean);
      }
      Rows.set(outDLogits, t, gradient);
    }
  }

  /** Softmax over the chosen alone: the denominator over all experts cancels. */
  private static double[] weights(double[] logits, int[] chosen) {
    double[] held = new double[chosen.length];
    for (int s = 0; s < held.length; s++) {
      held[s] = logits[chosen[s]];
    }
    return Softmax.probabilities(held);
  }
}
