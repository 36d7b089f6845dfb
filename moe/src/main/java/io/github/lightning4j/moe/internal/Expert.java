package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.quant.QuantizedMatrix;
import io.github.lightning4j.moe.ExpertWeights;
import io.github.lightning4j.moe.Experts;
import io.github.lightning4j.moe.QuantizedExpertWeights;
import java.util.function.LongFunction;

/** One SwiGLU expert in double: {@code W2 (silu(W1 x) * (W3 x))}. */
final class Expert {
  private final Matrix gate;
  private final Matrix up;
  private final Matrix down;

  Expert(Experts weights, int expert) {
    if (weights instanceof QuantizedExpertWeights quantized) {
      gate = new Matrix(quantized.gate(expert));
      up = new Matrix(quantized.up(expert));
      down = new Matrix(quantized.down(expert));
    } else {
      ExpertWeights plain = (ExpertWeights) weights;
      gate = new Matrix(plain.gate().get(expert));
      up = new Matrix(plain.up().get(expert));
      down = new Matrix(plain.down().get(expert));
    }
  }

  Matrix gate() {
    return gate;
  }

  Matrix up() {
    return up;
  }

  Matrix down() {
    return down;
  }

  double[] answer(double[] x) {
    double[] g = gate.times(x);
    double[] u = up.times(x);
    double[] hidden = new double[g.length];
    for (int i = 0; i < hidden.length; i++) {
      hidden[i] = g[i] * sigmoid(g[i]) * u[i];
    }
    return down.times(hidden);
  }

  static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  /** A weight matrix, rows = outputs. */
  static final class Matrix {
    private final LongFunction<double[]> row;
    private final int rows;
    private final int columns;

    Matrix(Tensor tensor) {
      row = r -> Rows.get(tensor, r);
      rows = (int) tensor.size(0);
      columns = (int) tensor.size(1);
    }

    Matrix(QuantizedMatrix matrix) {
      row = r -> doubles(matrix.row(r));
      rows = (int) matrix.rows();
      columns = (int) matrix.columns();
    }

    private static double[] doubles(float[] values) {
      double[] widened = new double[values.length];
      for (int i = 0; i < values.length; i++) {
        widened[i] = values[i];
      }
      return widened;
    }

    /** {@code M x}. */
    double[] times(double[] x) {
      double[] product = new double[rows];
      for (int r = 0; r < rows; r++) {
        double[] weights = row.apply(r);
        for (int c = 0; c < columns; c++) {
          product[r] += weights[c] * x[c];
        }
      }
      return product;
    }

    /** {@code M^T y}. */
    double[] transposedTimes(double[] y) {
      double[] product = new double[columns];
      for (int r = 0; r < rows; r++) {
        double[] weights = row.apply(r);
        for (int c = 0; c < columns; c++) {
          product[c] += weights[c] * y[r];
        }
      }
      return product;
    }
  }
}
