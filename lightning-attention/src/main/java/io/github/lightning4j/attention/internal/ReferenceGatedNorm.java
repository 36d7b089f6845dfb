package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/** The formula, in double. */
final class ReferenceGatedNorm implements GatedNormKernel {
  @Override
  public void apply(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements w = weight.accessor();
    Elements g = gate == null ? in : gate.accessor();
    Elements normed = out.accessor();
    long n = x.size(1);
    for (long t = from; t < to; t++) {
      double squares = 0;
      for (long i = 0; i < n; i++) {
        double value = in.get(t * x.stride(0) + i);
        squares += value * value;
      }
      double scale = 1 / Math.sqrt(squares / n + eps);
      for (long i = 0; i < n; i++) {
        double open = gate == null ? 1 : 1 / (1 + Math.exp(-g.get(t * gate.stride(0) + i)));
        normed.set(t * out.stride(0) + i, open * w.get(i) * in.get(t * x.stride(0) + i) * scale);
      }
    }
  }
}
