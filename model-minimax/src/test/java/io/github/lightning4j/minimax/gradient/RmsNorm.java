package io.github.lightning4j.minimax.gradient;

/** {@code y = g x / sqrt(mean(x^2) + eps)} over rows, in double. */
record RmsNorm(double[] g, double eps) {
  double[] forward(double[] x) {
    double[] y = new double[x.length];
    for (int row = 0; row < x.length; row += g.length) {
      double scale = scale(x, row);
      for (int i = 0; i < g.length; i++) {
        y[row + i] = g[i] * x[row + i] * scale;
      }
    }
    return y;
  }

  /** Adds the gradient of the weight to {@code dg}; gives that of the input. */
  double[] backward(double[] x, double[] dy, double[] dg) {
    double[] dx = new double[x.length];
    for (int row = 0; row < x.length; row += g.length) {
      double scale = scale(x, row);
      double dot = 0;
      for (int i = 0; i < g.length; i++) {
        dot += dy[row + i] * g[i] * x[row + i];
        dg[i] += dy[row + i] * x[row + i] * scale;
      }
      double back = dot * scale * scale * scale / g.length;
      for (int i = 0; i < g.length; i++) {
        dx[row + i] = dy[row + i] * g[i] * scale - x[row + i] * back;
      }
    }
    return dx;
  }

  private double scale(double[] x, int row) {
    double squares = 0;
    for (int i = 0; i < g.length; i++) {
      squares += x[row + i] * x[row + i];
    }
    return 1 / Math.sqrt(squares / g.length + eps);
  }
}
