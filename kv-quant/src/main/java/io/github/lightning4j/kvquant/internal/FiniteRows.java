package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.quantizer.NonFiniteInputException;

/** Refuses what has no scale: NaN and infinities among tokens that will be quantized. */
final class FiniteRows {
  private FiniteRows() {}

  /**
   * Looks at all rows.
   *
   * @param first the position of row 0
   * @throws NonFiniteInputException naming layer, head, token and channel
   */
  static void check(KvCacheConfig config, StoreKernels kernels, String name, Tensor x, long first) {
    long bad = kernels.firstNonFinite(x);
    if (bad == x.size(0)) {
      return;
    }
    Elements elements = x.accessor();
    for (int h = 0; h < config.kvHeads(); h++) {
      for (int i = 0; i < config.headDim(); i++) {
        float value = (float) elements.get(bad * x.stride(0) + h * x.stride(1) + i);
        if (!Float.isFinite(value)) {
          throw new NonFiniteInputException(name, i, value)
              .at(name, config.layer(), h, first + bad);
        }
      }
    }
  }
}
