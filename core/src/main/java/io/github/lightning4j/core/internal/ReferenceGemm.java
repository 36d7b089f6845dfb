package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** Three loops, accumulated in double. */
public final class ReferenceGemm implements GemmKernel {
  /** Stateless. */
  public ReferenceGemm() {}

  @Override
  public void multiply(Tensor a, Tensor w, Tensor out, long from, long to) {
    Elements left = a.accessor();
    Elements right = w.accessor();
    Elements product = out.accessor();
    for (long m = 0; m < a.size(0); m++) {
      for (long n = from; n < to; n++) {
        double sum = 0;
        for (long k = 0; k < a.size(1); k++) {
          sum += left.get(m * a.stride(0) + k) * right.get(n * w.stride(0) + k);
        }
        product.set(m * out.stride(0) + n, sum);
      }
    }
  }
}
