package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/** The formulas of {@link RowKernels}, in double. */
final class ReferenceRows implements RowKernels {
  @Override
  public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out, long from, long to) {
    Elements in = x.accessor();
    Elements w = weight.accessor();
    Elements normed = out.accessor();
    long h = x.size(1);
    for (long t = from; t < to; t++) {
      double squares = 0;
      for (long i = 0; i < h; i++) {
        double v = in.get(t * x.stride(0) + i);
        squares += v * v;
      }
      double scale = 1 / Math.sqrt(squares / h + eps);
      for (long i = 0; i < h; i++) {
        normed.set(t * out.stride(0) + i, w.get(i) * in.get(t * x.stride(0) + i) * scale);
      }
    }
  }

  @Override
  public void scaledSum(
      Tensor x, float alpha, Tensor y, float beta, Tensor out, long from, long to) {
    Elements a = x.accessor();
    Elements b = y.accessor();
    Elements sum = out.accessor();
    for (long i = from * x.size(1); i < to * x.size(1); i++) {
      sum.set(i, (double) alpha * a.get(i) + (double) beta * b.get(i));
    }
  }

  @Override
  public void sumNorm(
      Tensor x,
      float alpha,
      Tensor y,
      float beta,
      Tensor weight,
      float eps,
      Tensor sum,
      Tensor normed,
      long from,
      long to) {
    scaledSum(x, alpha, y, beta, sum, from, to);
    rmsNorm(sum, weight, eps, normed, from, to);
  }

  @Override
  public void rope(Tensor x, Tensor invFreq, long firstPosition, long from, long to) {
    Elements v = x.accessor();
    Elements frequencies = invFreq.accessor();
    long half = invFreq.size(0);
    for (long t = from; t < to; t++) {
      for (long j = 0; j < half; j++) {
        // All references form the angle in fp32; so does this one.
        double angle = (float) (firstPosition + t) * (float) frequencies.get(j);
        double cos = Math.cos(angle);
        double sin = Math.sin(angle);
        for (long head = 0; head < x.size(1); head++) {
          long at = t * x.stride(0) + head * x.stride(1) + j;
          double first = v.get(at);
          double second = v.get(at + half);
          v.set(at, first * cos - second * sin);
          v.set(at + half, second * cos + first * sin);
        }
      }
    }
  }

  @Override
  public void gatherRows(Tensor table, Tensor ids, Tensor out, long from, long to) {
    Elements rows = table.accessor();
    Elements wanted = ids.accessor();
    Elements gathered = out.accessor();
    for (long t = from; t < to; t++) {
      for (long i = 0; i < table.size(1); i++) {
        gathered.set(t * out.stride(0) + i, rows.get(wanted.getLong(t) * table.size(1) + i));
      }
    }
  }
}
