package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.transform.DensePair;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;

/**
 * What kernels need of a {@link KeyBasis}, outside the heap and shared by all stores of that very
 * basis: the permutation as 32-bit integers, then cosines and sines as {@code Rope} in {@code
 * page.h} says, then the mean, then the matrices of a dense basis as {@code Cache} says.
 */
final class KeyConstants implements AutoCloseable {
  private static final Map<KeyBasis, KeyConstants> LIVE = new IdentityHashMap<>();

  private static final int BITS = 31;
  private static final int TOKENS = PageLayout.TOKENS;

  private final KeyBasis basis;
  private final Page page;
  private final int half;
  private final long rope;
  private final long mean;
  private final long dense;
  private final long end;
  private int holders = 1;

  /** Those of a basis, for one more holder. */
  static KeyConstants of(KeyBasis basis) {
    synchronized (LIVE) {
      KeyConstants live = LIVE.get(basis);
      if (live == null) {
        live = new KeyConstants(basis);
        LIVE.put(basis, live);
        return live;
      }
      return live.share();
    }
  }

  private KeyConstants(KeyBasis basis) {
    this.basis = basis;
    int[] permutation = basis.rotation() == null ? new int[0] : basis.rotation().permutation();
    float[] means = basis.mean() == null ? new float[0] : basis.mean();
    List<DensePair> keys = basis.keyPairs();
    half = basis.inverseFrequencies().length;
    rope = permutation.length;
    mean = rope + 2L * half * TOKENS + 2L * BITS * half + half;
    dense = mean + means.length;
    long matrix = keys.isEmpty() ? 0 : (long) keys.get(0).dim() * keys.get(0).dim();
    end = dense + 4L * keys.size() * matrix;
    page = new Page(4 * end, new PageLedger(Long.MAX_VALUE));
    Elements order = page.elements(DType.I32);
    for (int i = 0; i < permutation.length; i++) {
      order.setLong(i, permutation[i]);
    }
    Elements table = page.elements(DType.F32);
    for (int i = 0; i < means.length; i++) {
      table.set(mean + i, means[i]);
    }
    putTurns(table, basis.inverseFrequencies());
    for (int h = 0; h < keys.size(); h++) {
      int dim = keys.get(h).dim();
      long at = dense + h * matrix;
      long apart = keys.size() * matrix;
      DensePair value = basis.valuePairs().get(h);
      putColumns(table, at, transposed(keys.get(h).forward(), dim));
      putColumns(table, at + apart, keys.get(h).inverse());
      putColumns(table, at + 2 * apart, transposed(value.forward(), dim));
      putColumns(table, at + 3 * apart, transposed(value.inverse(), dim));
    }
  }

  private void putTurns(Elements table, float[] inverseFrequencies) {
    for (int j = 0; j < half; j++) {
      double w = inverseFrequencies[j];
      table.set(rope + 2L * half * (TOKENS + BITS) + j, w);
      for (int t = 0; t < TOKENS; t++) {
        table.set(rope + (long) j * TOKENS + t, Math.cos(t * w));
        table.set(rope + (long) (half + j) * TOKENS + t, Math.sin(t * w));
      }
      for (int bit = 0; bit < BITS; bit++) {
        long at = rope + 2L * half * TOKENS + 2L * bit * half + j;
        table.set(at, Math.cos(Math.scalb(w, bit)));
        table.set(at + half, Math.sin(Math.scalb(w, bit)));
      }
    }
  }

  /** A matrix of which the kernels take column after column. */
  private static void putColumns(Elements table, long at, double[] columns) {
    for (int i = 0; i < columns.length; i++) {
      table.set(at + i, columns[i]);
    }
  }

  private static double[] transposed(double[] matrix, int dim) {
    double[] to = new double[matrix.length];
    for (int i = 0; i < matrix.length; i++) {
      to[i % dim * dim + i / dim] = matrix[i];
    }
    return to;
  }

  /** One more holder. */
  KeyConstants share() {
    synchronized (LIVE) {
      holders++;
      return this;
    }
  }

  /** One holder less; the last frees the memory. */
  @Override
  public void close() {
    synchronized (LIVE) {
      if (--holders == 0) {
        LIVE.remove(basis);
        page.release();
      }
    }
  }

  /** The address of the permutation. */
  long order() {
    return page.address();
  }

  /** The address of the cosines and sines. */
  long rope() {
    return page.address() + 4 * rope;
  }

  /** The address of the mean key, 0 if there is none. */
  long mean() {
    return mean == dense ? 0 : page.address() + 4 * mean;
  }

  /** The address of the matrices of a dense basis, 0 if there are none. */
  long dense() {
    return dense == end ? 0 : page.address() + 4 * dense;
  }

  /** Pairs of channels that turn. */
  int half() {
    return half;
  }
}
