package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** Row by row, in doubles. */
final class ReferenceTransforms implements TransformKernels {
  @Override
  public void hadamard(Tensor x, int n, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements y = out.accessor();
    double[] block = new double[n];
    for (long t = from; t < to; t++) {
      for (long first = 0; first < x.size(1); first += n) {
        for (int i = 0; i < n; i++) {
          block[i] = in.get(t * x.stride(0) + first + i);
        }
        HadamardMatrix.apply(block);
        for (int i = 0; i < n; i++) {
          y.set(t * out.stride(0) + first + i, block[i]);
        }
      }
    }
  }

  @Override
  public void gatherChannels(Tensor x, Tensor index, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements at = index.accessor();
    Elements y = out.accessor();
    for (long t = from; t < to; t++) {
      for (long i = 0; i < x.size(1); i++) {
        y.set(t * out.stride(0) + i, in.get(t * x.stride(0) + at.getLong(i)));
      }
    }
  }

  @Override
  public void addRow(Tensor x, Tensor row, float factor, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements added = row.accessor();
    Elements y = out.accessor();
    for (long t = from; t < to; t++) {
      for (long i = 0; i < x.size(1); i++) {
        y.set(t * out.stride(0) + i, in.get(t * x.stride(0) + i) + factor * added.get(i));
      }
    }
  }
}
