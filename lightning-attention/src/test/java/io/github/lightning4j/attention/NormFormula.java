package io.github.lightning4j.attention;

import io.github.lightning4j.core.Bfloat16;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Float16;
import io.github.lightning4j.core.Tensor;
import java.util.function.DoubleUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * The gated norm and its gradients operation by operation, each result rounded: not at all for the
 * truth, to a 16-bit type for what a straightforward implementation at that precision gives. As
 * those do, it takes the sums over a row in more.
 */
record NormFormula(DoubleUnaryOperator round) {
  record Gradients(double[] dx, double[] dGate, double[] dWeight) {}

  static NormFormula exact() {
    return new NormFormula(x -> x);
  }

  static NormFormula naive(DType type) {
    return switch (type) {
      case BF16 -> new NormFormula(x -> Bfloat16.toFloat(Bfloat16.fromFloat((float) x)));
      case F16 -> new NormFormula(x -> Float16.toFloat(Float16.fromFloat((float) x)));
      default -> throw new IllegalArgumentException("type: expected 16 bits, got " + type);
    };
  }

  double[] out(Tensor x, @Nullable Tensor gate, Tensor weight, double eps) {
    double[][] normed = normed(x, scales(x, eps));
    double[][] open = open(gate, normed);
    double[] w = rounded(weight.toDoubles());
    for (int t = 0; t < normed.length; t++) {
      for (int i = 0; i < w.length; i++) {
        normed[t][i] = round(round(normed[t][i] * w[i]) * open[t][i]);
      }
    }
    return Problem.flat(normed);
  }

  Gradients gradients(Tensor x, @Nullable Tensor gate, Tensor weight, double eps, Tensor dOut) {
    double[] scales = scales(x, eps);
    double[][] normed = normed(x, scales);
    double[][] open = open(gate, normed);
    double[][] d = rounded(Problem.rows(dOut));
    double[] w = rounded(weight.toDoubles());
    double[][] dx = new double[normed.length][w.length];
    double[][] dGate = new double[normed.length][w.length];
    double[] dWeight = new double[w.length];
    for (int t = 0; t < normed.length; t++) {
      double mean = 0;
      for (int i = 0; i < w.length; i++) {
        double opened = round(d[t][i] * open[t][i]);
        double slope = round(open[t][i] * round(1 - open[t][i]));
        dGate[t][i] = round(round(d[t][i] * round(w[i] * normed[t][i])) * slope);
        dWeight[i] += round(opened * normed[t][i]);
        dx[t][i] = round(opened * w[i]);
        mean += dx[t][i] * normed[t][i] / w.length;
      }
      for (int i = 0; i < w.length; i++) {
        double centred = round(dx[t][i] - round(normed[t][i] * round(mean)));
        dx[t][i] = round(round(scales[t]) * centred);
      }
    }
    return new Gradients(Problem.flat(dx), Problem.flat(dGate), dWeight);
  }

  private static double[] scales(Tensor x, double eps) {
    double[][] rows = Problem.rows(x);
    double[] scales = new double[rows.length];
    for (int t = 0; t < rows.length; t++) {
      double squares = 0;
      for (double value : rows[t]) {
        squares += value * value;
      }
      scales[t] = 1 / Math.sqrt(squares / rows[t].length + eps);
    }
    return scales;
  }

  private double[][] normed(Tensor x, double[] scales) {
    double[][] rows = rounded(Problem.rows(x));
    for (int t = 0; t < rows.length; t++) {
      for (int i = 0; i < rows[t].length; i++) {
        rows[t][i] = round(rows[t][i] * scales[t]);
      }
    }
    return rows;
  }

  private double[][] open(@Nullable Tensor gate, double[][] like) {
    double[][] open = new double[like.length][like.length == 0 ? 0 : like[0].length];
    double[][] closed = gate == null ? open : rounded(Problem.rows(gate));
    for (int t = 0; t < open.length; t++) {
      for (int i = 0; i < open[t].length; i++) {
        open[t][i] = gate == null ? 1 : round(1 / (1 + Math.exp(-closed[t][i])));
      }
    }
    return open;
  }

  private double[][] rounded(double[][] rows) {
    for (double[] row : rows) {
      rounded(row);
    }
    return rows;
  }

  private double[] rounded(double[] row) {
    for (int i = 0; i < row.length; i++) {
      row[i] = round(row[i]);
    }
    return row;
  }

  private double round(double x) {
    return round.applyAsDouble(x);
  }
}
