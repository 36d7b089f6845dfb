package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;

/**
 * What kernels need of a {@link KeyBasis}, outside the heap and shared by forks: the permutation as
 * 32-bit integers, then cosines and sines as {@code Rope} in {@code page.h} says, then the mean.
 */
final class KeyConstants {
  private static final int BITS = 31;
  private static final int TOKENS = PageLayout.TOKENS;

  private final Page page;
  private final int channels;
  private final int half;
  private final int means;

  KeyConstants(KeyBasis basis) {
    int[] permutation = basis.rotation() == null ? new int[0] : basis.rotation().permutation();
    float[] mean = basis.mean() == null ? new float[0] : basis.mean();
    channels = permutation.length;
    half = basis.inverseFrequencies().length;
    long floats = 2L * half * TOKENS + 2L * BITS * half;
    means = mean.length;
    page = new Page(4 * (channels + floats + means), new PageLedger(Long.MAX_VALUE));
    Elements order = page.elements(DType.I32);
    for (int i = 0; i < channels; i++) {
      order.setLong(i, permutation[i]);
    }
    Elements table = page.elements(DType.F32);
    for (int i = 0; i < means; i++) {
      table.set(channels + floats + i, mean[i]);
    }
    for (int j = 0; j < half; j++) {
      double w = basis.inverseFrequencies()[j];
      for (int t = 0; t < TOKENS; t++) {
        table.set(channels + (long) j * TOKENS + t, Math.cos(t * w));
        table.set(channels + (long) (half + j) * TOKENS + t, Math.sin(t * w));
      }
      for (int bit = 0; bit < BITS; bit++) {
        long at = channels + 2L * half * TOKENS + 2L * bit * half + j;
        table.set(at, Math.cos(Math.scalb(w, bit)));
        table.set(at + half, Math.sin(Math.scalb(w, bit)));
      }
    }
  }

  private KeyConstants(KeyConstants other) {
    page = other.page.retain();
    channels = other.channels;
    half = other.half;
    means = other.means;
  }

  KeyConstants share() {
    return new KeyConstants(this);
  }

  void release() {
    page.release();
  }

  /** The address of the permutation. */
  long order() {
    return page.address();
  }

  /** The address of the cosines and sines. */
  long rope() {
    return page.address() + 4L * channels;
  }

  /** The address of the mean key, 0 if there is none. */
  long mean() {
    return means == 0 ? 0 : page.address() + page.bytes() - 4L * means;
  }

  /** Pairs of channels that turn. */
  int half() {
    return half;
  }
}
