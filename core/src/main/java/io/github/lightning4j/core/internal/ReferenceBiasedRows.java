package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.nn.Activation;

/** The formulas of {@link BiasedRowKernels}, in double. */
final class ReferenceBiasedRows implements BiasedRowKernels {
  @Override
  public void layerNorm(
      Tensor x, Tensor weight, Tensor bias, float eps, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements w = weight.accessor();
    Elements b = bias.accessor();
    Elements normed = out.accessor();
    long h = x.size(1);
    for (long t = from; t < to; t++) {
      long row = t * x.stride(0);
      double mean = 0;
      for (long i = 0; i < h; i++) {
        mean += in.get(row + i) / h;
      }
      double variance = 0;
      for (long i = 0; i < h; i++) {
        double distance = in.get(row + i) - mean;
        variance += distance * distance / h;
      }
      double scale = 1 / Math.sqrt(variance + eps);
      for (long i = 0; i < h; i++) {
        double value = (in.get(row + i) - mean) * scale * w.get(i) + b.get(i);
        normed.set(t * out.stride(0) + i, value);
      }
    }
  }

  @Override
  public void addBias(
      Tensor x, Tensor bias, Activation activation, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements b = bias.accessor();
    Elements biased = out.accessor();
    for (long t = from; t < to; t++) {
      for (long i = 0; i < x.size(1); i++) {
        double sum = in.get(t * x.stride(0) + i) + b.get(i);
        biased.set(t * out.stride(0) + i, activated(activation, sum));
      }
    }
  }

  private static double activated(Activation activation, double x) {
    return switch (activation) {
      case NONE -> x;
      case GELU -> x * normalDistribution(x);
      case QUICK_GELU -> x / (1 + Math.exp(-1.702 * x));
    };
  }

  /**
   * {@code Phi(x) = 1/2 + exp(-x^2 / 2) / sqrt(2 pi) (x + x^3 / 3 + x^5 / (3 5) + ...)}, all of
   * whose terms have one sign; from 3 on the continued fraction of the tail, {@code Phi(-t) =
   * exp(-t^2 / 2) / sqrt(2 pi) / (t + 1 / (t + 2 / (t + 3 / ...)))}, which alone keeps a small
   * result exact.
   */
  private static double normalDistribution(double x) {
    double density = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
    double t = Math.abs(x);
    if (t >= 3) {
      double fraction = t;
      for (int k = 80; k >= 1; k--) {
        fraction = t + k / fraction;
      }
      double tail = density / fraction;
      return x < 0 ? tail : 1 - tail;
    }
    double term = x;
    double sum = x;
    for (int k = 3; Math.abs(term) > 1e-18 * Math.abs(sum); k += 2) {
      term *= x * x / k;
      sum += term;
    }
    return 0.5 + density * sum;
  }
}
