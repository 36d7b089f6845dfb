package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.DispatchPlan;
import io.github.lightning4j.moe.ExpertWeights;

/**
 * The gradients of a mixture, pair by pair, in double. For token x with weight w at an expert, and
 * the gradient d of its output:
 *
 * <pre>
 *   g = W1 x,  u = W3 x,  s = sigmoid(g),  h = g s u,  q = W2^T d
 *   dw  = (h, q)
 *   dg  = w q u s (1 + g (1 - s))      du = w q g s
 *   dW1 += dg x^T    dW3 += du x^T     dW2 += w d h^T
 *   dx  += W1^T dg + W3^T du
 * </pre>
 */
final class ReferenceBackward {
  private ReferenceBackward() {}

  static void run(
      Tensor x,
      ExpertWeights weights,
      DispatchPlan plan,
      Tensor weight,
      Tensor dOut,
      ExpertGradients out) {
    int h = (int) weights.hidden();
    int i = (int) weights.intermediate();
    double[][] dx = new double[plan.tokens()][h];
    double[][] dWeight = new double[plan.tokens()][plan.slots()];
    for (int e = 0; e < weights.experts(); e++) {
      Expert expert = new Expert(weights, e);
      double[][] dGate = new double[i][h];
      double[][] dUp = new double[i][h];
      double[][] dDown = new double[h][i];
      for (int position = plan.offset(e); position < plan.offset(e + 1); position++) {
        int t = plan.token(position);
        int slot = plan.pair(position) % plan.slots();
        double[] row = Rows.get(x, t);
        double[] d = Rows.get(dOut, t);
        double w = Rows.get(weight, t)[slot];
        Pair pair = new Pair(expert, row, d, w);
        dWeight[t][slot] = pair.dWeight;
        addOuter(dGate, pair.dg, row);
        addOuter(dUp, pair.du, row);
        addOuter(dDown, d, pair.weighted);
        add(dx[t], expert.gate().transposedTimes(pair.dg));
        add(dx[t], expert.up().transposedTimes(pair.du));
      }
      put(out.dGate().get(e), dGate);
      put(out.dUp().get(e), dUp);
      put(out.dDown().get(e), dDown);
    }
    put(out.dx(), dx);
    put(out.dWeight(), dWeight);
  }

  /** What one token at one expert contributes; {@code weighted} is {@code w h}. */
  private static final class Pair {
    final double[] dg;
    final double[] du;
    final double[] weighted;
    final double dWeight;

    Pair(Expert expert, double[] x, double[] d, double w) {
      double[] g = expert.gate().times(x);
      double[] u = expert.up().times(x);
      double[] q = expert.down().transposedTimes(d);
      dg = new double[g.length];
      du = new double[g.length];
      weighted = new double[g.length];
      double along = 0;
      for (int i = 0; i < g.length; i++) {
        double s = Expert.sigmoid(g[i]);
        along += g[i] * s * u[i] * q[i];
        dg[i] = w * q[i] * u[i] * s * (1 + g[i] * (1 - s));
        du[i] = w * q[i] * g[i] * s;
        weighted[i] = w * g[i] * s * u[i];
      }
      dWeight = along;
    }
  }

  private static void addOuter(double[][] sum, double[] left, double[] right) {
    for (int r = 0; r < left.length; r++) {
      for (int c = 0; c < right.length; c++) {
        sum[r][c] += left[r] * right[c];
      }
    }
  }

  private static void add(double[] sum, double[] more) {
    for (int i = 0; i < sum.length; i++) {
      sum[i] += more[i];
    }
  }

  private static void put(Tensor out, double[][] rows) {
    for (int r = 0; r < rows.length; r++) {
      Rows.set(out, r, rows[r]);
    }
  }
}
