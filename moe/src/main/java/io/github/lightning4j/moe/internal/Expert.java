package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.ExpertWeights;

/** One SwiGLU expert in double: {@code W2 (silu(W1 x) * (W3 x))}. */
final class Expert {
  private final Matrix gate;
  private final Matrix up;
  private final Matrix down;

  Expert(ExpertWeights weights, int expert) {
    gate = new Matrix(weights.gate().get(expert));
    up = new Matrix(weights.up().get(expert));
    down = new Matrix(weights.down().get(expert));
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
    private final Elements elements;
    private final int rows;
    private final int columns;
    private final long stride;

    Matrix(Tensor tensor) {
      elements = tensor.accessor();
      rows = (int) tensor.size(0);
      columns = (int) tensor.size(1);
      stride = tensor.stride(0);
    }

    /** {@code M x}. */
    double[] times(double[] x) {
      double[] product = new double[rows];
      for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
          product[r] += elements.get(r * stride + c) * x[c];
        }
      }
      return product;
    }

    /** {@code M^T y}. */
    double[] transposedTimes(double[] y) {
      double[] product = new double[columns];
      for (int r = 0; r < rows; r++) {
        for (int c = 0; c < columns; c++) {
          product[c] += elements.get(r * stride + c) * y[r];
        }
      }
      return product;
    }
  }
}
