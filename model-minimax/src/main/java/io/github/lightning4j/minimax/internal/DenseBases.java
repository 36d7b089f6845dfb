package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.calibration.LayerCalibration;
import io.github.lightning4j.kvquant.transform.DensePair;
import java.util.List;

/**
 * The dense pairs of a layer, one a kv head, applied around a cache that knows nothing of them.
 *
 * <pre>
 * key   = T_K k      query = T_K^-T q      q . k stays
 * value = T_V v      out   = T_V^-1 out
 * </pre>
 *
 * <p>Matrices are rounded to fp32; sums are those of {@link Gemm}. Cost: {@code headDim^2} for each
 * head of q, k, v and out, none for a cached token.
 */
final class DenseBases implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();
  private final Tensor key;
  private final Tensor query;
  private final Tensor value;
  private final Tensor out;

  DenseBases(LayerCalibration layer) {
    key = matrices(layer.keyPairs(), false, false);
    query = matrices(layer.keyPairs(), true, true);
    value = matrices(layer.valuePairs(), false, false);
    out = matrices(layer.valuePairs(), true, false);
  }

  private Tensor matrices(List<DensePair> pairs, boolean inverse, boolean transposed) {
    int d = pairs.get(0).dim();
    Tensor all = scope.allocate(DType.F32, pairs.size(), d, d);
    Elements to = all.accessor();
    for (int h = 0; h < pairs.size(); h++) {
      double[] from = inverse ? pairs.get(h).inverse() : pairs.get(h).forward();
      for (int i = 0; i < d; i++) {
        for (int j = 0; j < d; j++) {
          to.set(((long) h * d + i) * d + j, from[transposed ? j * d + i : i * d + j]);
        }
      }
    }
    return all;
  }

  /** Changes keys and values {@code [T, kvHeads, d]} in place; scratch is flat, as large as one. */
  void keyAndValue(Gemm gemm, Tensor k, Tensor v, Tensor scratch) {
    apply(gemm, key, k, scratch);
    apply(gemm, value, v, scratch);
  }

  /** Changes queries {@code [T, heads, d]} in place. */
  void query(Gemm gemm, Tensor q, Tensor scratch) {
    apply(gemm, query, q, scratch);
  }

  /** Changes outputs {@code [T, heads, d]} back in place. */
  void out(Gemm gemm, Tensor rows, Tensor scratch) {
    apply(gemm, out, rows, scratch);
  }

  private static void apply(Gemm gemm, Tensor matrices, Tensor rows, Tensor scratch) {
    Tensor changed = scratch.narrow(0, 0, rows.elements()).reshape(rows.shape());
    long group = rows.size(1) / matrices.size(0);
    for (long h = 0; h < rows.size(1); h++) {
      gemm.multiply(rows.select(1, h), matrices.select(0, h / group), changed.select(1, h));
    }
    rows.copyFrom(changed);
  }

  @Override
  public void close() {
    scope.close();
  }
}
