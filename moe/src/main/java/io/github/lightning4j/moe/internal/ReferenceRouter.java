package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.RouterOptions;
import io.github.lightning4j.moe.RouterOptions.Score;
import org.jspecify.annotations.Nullable;

/** The formulas of {@link io.github.lightning4j.moe.Router}, in double. */
final class ReferenceRouter implements RouterKernels {
  @Override
  public long route(
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      Tensor outIndex,
      Tensor outWeight,
      long from,
      long to) {
    Elements index = outIndex.accessor();
    Elements weight = outWeight.accessor();
    double[] b = bias == null ? null : bias.toDoubles();
    for (long t = from; t < to; t++) {
      double[] row = Rows.get(logits, t);
      if (!Softmax.defined(row)) {
        return t;
      }
      int[] chosen = ExpertChoice.of(row, options, b);
      double[] w = weights(row, options, chosen);
      for (int s = 0; s < chosen.length; s++) {
        index.setLong(t * outIndex.stride(0) + s, chosen[s]);
        weight.set(t * outWeight.stride(0) + s, w[s]);
      }
    }
    return -1;
  }

  /** The weights of the chosen: their scores, or shares of them, times the scale. */
  private static double[] weights(double[] logits, RouterOptions options, int[] chosen) {
    double[] held = new double[chosen.length];
    for (int s = 0; s < held.length; s++) {
      held[s] = logits[chosen[s]];
    }
    double[] w = held.clone();
    if (options.normalized()) {
      // of a softmax over all experts the denominator cancels
      w = options.score() == Score.SIGMOID ? Sigmoid.shares(held) : Softmax.probabilities(held);
    } else {
      double[] p = options.score() == Score.SOFTMAX ? Softmax.probabilities(logits) : null;
      for (int s = 0; s < w.length; s++) {
        w[s] = p == null ? Sigmoid.of(held[s]) : p[chosen[s]];
      }
    }
    for (int s = 0; s < w.length; s++) {
      w[s] *= options.scale();
    }
    return w;
  }

  @Override
  public void backward(
      Tensor logits,
      RouterOptions options,
      Tensor index,
      Tensor dWeight,
      Tensor outDLogits,
      long from,
      long to) {
    Elements places = index.accessor();
    for (long t = from; t < to; t++) {
      int[] chosen = new int[options.k()];
      for (int s = 0; s < chosen.length; s++) {
        chosen[s] = (int) places.getLong(t * index.stride(0) + s);
      }
      Rows.set(outDLogits, t, gradient(Rows.get(logits, t), options, chosen, Rows.get(dWeight, t)));
    }
  }

  private static double[] gradient(
      double[] logits, RouterOptions options, int[] chosen, double[] dw) {
    double[] w = weights(logits, options, chosen);
    double mean = 0; // what every score of the denominator gets back
    for (int s = 0; s < chosen.length; s++) {
      mean += w[s] * dw[s] / options.scale();
    }
    double[] gradient = new double[logits.length];
    if (!options.normalized()) {
      if (options.score() == Score.SOFTMAX) {
        double[] p = Softmax.probabilities(logits);
        for (int e = 0; e < p.length; e++) {
          gradient[e] = -options.scale() * p[e] * mean;
        }
      }
      mean = 0;
    }
    for (int s = 0; s < chosen.length; s++) {
      double slope = options.score() == Score.SIGMOID ? Sigmoid.of(-logits[chosen[s]]) : 1;
      gradient[chosen[s]] += slope * w[s] * (dw[s] - mean);
    }
    return gradient;
  }

  @Override
  public void jitter(Tensor x, double amount, long seed, Tensor outX, long from, long to) {
    for (long t = from; t < to; t++) {
      double[] row = Rows.get(x, t);
      long key = Jitter.rowKey(seed, t);
      for (int i = 0; i < row.length; i++) {
        row[i] *= 1 - amount + 2 * amount * Jitter.uniform(key, i);
      }
      Rows.set(outX, t, row);
    }
  }
}
