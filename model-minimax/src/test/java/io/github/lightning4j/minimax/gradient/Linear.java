package io.github.lightning4j.minimax.gradient;

/** A linear layer {@code y = x w^T} in double: {@code x [T, in]}, {@code w [out, in]}. */
record Linear(double[] w, int in, int out) {
  double[] forward(double[] x) {
    int rows = x.length / in;
    double[] y = new double[rows * out];
    for (int t = 0; t < rows; t++) {
      for (int o = 0; o < out; o++) {
        double sum = 0;
        for (int i = 0; i < in; i++) {
          sum += x[t * in + i] * w[o * in + i];
        }
        y[t * out + o] = sum;
      }
    }
    return y;
  }

  /** {@code dx = dy w}. */
  double[] inputGradient(double[] dy) {
    int rows = dy.length / out;
    double[] dx = new double[rows * in];
    for (int t = 0; t < rows; t++) {
      for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++) {
          dx[t * in + i] += dy[t * out + o] * w[o * in + i];
        }
      }
    }
    return dx;
  }

  /** {@code dw = dy^T x}. */
  double[] weightGradient(double[] x, double[] dy) {
    int rows = dy.length / out;
    double[] dw = new double[out * in];
    for (int t = 0; t < rows; t++) {
      for (int o = 0; o < out; o++) {
        for (int i = 0; i < in; i++) {
          dw[o * in + i] += dy[t * out + o] * x[t * in + i];
        }
      }
    }
    return dw;
  }
}
