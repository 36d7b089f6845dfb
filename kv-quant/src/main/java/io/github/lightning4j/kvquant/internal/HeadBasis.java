package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.transform.DensePair;
import java.util.Arrays;
import java.util.List;

/**
 * The basis in which a format stores each head of keys and values: into it in fp32, to the bit as
 * the kernels do it, so that codes agree; out of it in doubles. Rotations over heads are not its
 * matter: they are undone on the way from packed pages.
 */
final class HeadBasis {
  private final CacheFormat format;
  private final List<DensePair> keyPairs;
  private final List<DensePair> valuePairs;

  HeadBasis(CacheFormat format) {
    this.format = format;
    KeyBasis basis = format.config().keyBasis();
    keyPairs = basis == null ? List.of() : basis.keyPairs();
    valuePairs = basis == null ? List.of() : basis.valuePairs();
  }

  /** A head of keys as it is stored. */
  float[] keyIn(float[] row, int head) {
    return in(row, head, keyPairs, format.rotatesHeads());
  }

  /** A head of values as it is stored. */
  float[] valueIn(float[] row, int head) {
    return in(row, head, valuePairs, format.rotatesValues());
  }

  /** The keys of all heads, stored, as they came. */
  double[] keysOut(double[] row) {
    return out(row, keyPairs, format.rotatesHeads());
  }

  /** The values of all heads, stored, as they came. */
  double[] valuesOut(double[] row) {
    return out(row, valuePairs, format.rotatesValues());
  }

  private static float[] in(float[] row, int head, List<DensePair> pairs, boolean rotates) {
    if (!pairs.isEmpty()) {
      return times(pairs.get(head).forward(), row);
    }
    if (rotates) {
      HadamardMatrix.apply(row);
    }
    return row;
  }

  private double[] out(double[] row, List<DensePair> pairs, boolean rotates) {
    if (pairs.isEmpty()) {
      return rotates ? HadamardMatrix.applyToBlocks(row, format.exact().headDim()) : row;
    }
    int dim = format.exact().headDim();
    double[] all = new double[row.length];
    for (int first = 0; first < row.length; first += dim) {
      double[] head = Arrays.copyOfRange(row, first, first + dim);
      double[] came = times(pairs.get(first / dim).inverse(), head);
      System.arraycopy(came, 0, all, first, dim);
    }
    return all;
  }

  /** The matrix rounded to fp32; fused multiply-adds in the order of its columns. */
  private static float[] times(double[] matrix, float[] x) {
    float[] y = new float[x.length];
    for (int i = 0; i < y.length; i++) {
      for (int j = 0; j < x.length; j++) {
        y[i] = Math.fma((float) matrix[i * x.length + j], x[j], y[i]);
      }
    }
    return y;
  }

  private static double[] times(double[] matrix, double[] x) {
    double[] y = new double[x.length];
    for (int i = 0; i < y.length; i++) {
      for (int j = 0; j < x.length; j++) {
        y[i] += matrix[i * x.length + j] * x[j];
      }
    }
    return y;
  }
}
