package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The formulas, in double. */
final class ReferenceGatedNorm implements GatedNormKernel {
  private static final Set<DType> TYPES =
      Collections.unmodifiableSet(EnumSet.of(DType.F64, DType.F32, DType.F16, DType.BF16));

  @Override
  public Set<DType> types() {
    return TYPES;
  }

  @Override
  public void apply(
      Tensor x, @Nullable Tensor gate, Tensor weight, float eps, Tensor out, long from, long to) {
    Rows in = Rows.of(x, false, 1);
    Rows normed = Rows.of(out, false, 1);
    Elements w = weight.accessor();
    for (long t = from; t < to; t++) {
      double[] row = in.get(t);
      double[] open = open(gate, t, row.length);
      double scale = scale(row, eps);
      for (int i = 0; i < row.length; i++) {
        row[i] *= open[i] * w.get(i) * scale;
      }
      normed.set(t, row);
    }
  }

  @Override
  public void backward(NormBackwardCall c, @Nullable Tensor dWeight, long from, long to) {
    Rows in = Rows.of(c.x(), false, 1);
    Rows dOut = Rows.of(c.dOut(), false, 1);
    Rows dIn = Rows.of(c.outDx(), false, 1);
    Rows dGates = c.outDGate() == null ? null : Rows.of(c.outDGate(), false, 1);
    Elements w = c.weight().accessor();
    int n = (int) c.x().size(1);
    for (long t = from; t < to; t++) {
      double[] row = in.get(t);
      double[] open = open(c.gate(), t, n);
      double[] d = dOut.get(t);
      double[] dGate = new double[n];
      double[] dx = new double[n];
      double scale = scale(row, c.eps());
      double mean = 0;
      for (int i = 0; i < n; i++) {
        mean += d[i] * open[i] * w.get(i) * row[i] * scale / n;
      }
      for (int i = 0; i < n; i++) {
        double normed = row[i] * scale;
        dx[i] = scale * (d[i] * open[i] * w.get(i) - normed * mean);
        dGate[i] = d[i] * w.get(i) * normed * open[i] * (1 - open[i]);
        row[i] = d[i] * open[i] * normed;
      }
      dIn.set(t, dx);
      if (dGates != null) {
        dGates.set(t, dGate);
      }
      if (dWeight != null) {
        add(dWeight.accessor(), row);
      }
    }
  }

  @Override
  public void addUp(Tensor parts, Tensor out, long from, long to) {
    Elements terms = parts.accessor();
    Elements total = out.accessor();
    for (long i = from; i < to; i++) {
      double sum = 0;
      for (long part = 0; part < parts.size(0); part++) {
        sum += terms.get(part * parts.size(1) + i);
      }
      total.set(i, sum);
    }
  }

  /** {@code 1 / sqrt(mean(row^2) + eps)}. */
  private static double scale(double[] row, double eps) {
    double squares = 0;
    for (double value : row) {
      squares += value * value;
    }
    return 1 / Math.sqrt(squares / row.length + eps);
  }

  /** {@code sigmoid(gate[t])}; ones where there is no gate. */
  private static double[] open(@Nullable Tensor gate, long t, int n) {
    double[] open = new double[n];
    if (gate == null) {
      Arrays.fill(open, 1);
      return open;
    }
    double[] closed = Rows.of(gate, false, 1).get(t);
    for (int i = 0; i < n; i++) {
      open[i] = 1 / (1 + Math.exp(-closed[i]));
    }
    return open;
  }

  private static void add(Elements sums, double[] row) {
    for (int i = 0; i < row.length; i++) {
      sums.set(i, sums.get(i) + row[i]);
    }
  }
}
