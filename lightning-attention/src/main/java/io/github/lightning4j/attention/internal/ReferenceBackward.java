package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.Tensor;

/**
 * Gradients of one head, token by token, in double. With S the states, {@code g_t} the gradient of
 * output t, and {@code G_t = q_t^T g_t + lambda G_(t+1)} the adjoint of state t:
 *
 * <pre>
 * dq_t = g_t S_t^T      dk_t = v_t G_t^T      dv_t = k_t G_t      dS_initial = lambda G_1
 * dL/d(log lambda) = sum_t t (q_t . dq_t - k_t . dk_t) + n &lt;dS_final, S_n&gt;
 * </pre>
 *
 * The states are passed forward for dq, the adjoints backward for dk and dv; neither is kept.
 */
final class ReferenceBackward {
  private final BackwardCall call;
  private final int index;
  private final Sequence sequence;
  private final long head;
  private final long tokens;
  private final double lambda;
  private final Rows q;
  private final Rows k;
  private final Rows v;
  private final Rows g;
  private double dLogDecay;

  ReferenceBackward(BackwardCall call, int index, long head) {
    this.call = call;
    this.index = index;
    this.sequence = call.sequences().get(index);
    this.head = head;
    this.tokens = sequence.tokens();
    this.lambda = Math.exp(call.logDecay().accessor().get(head));
    boolean silu = call.options().silu();
    this.q = rows(call.q()).read(silu, call.options().scale());
    this.k = rows(call.k()).read(silu, 1);
    this.v = rows(call.v()).read(silu, 1);
    this.g = rows(call.dOut());
  }

  private Rows rows(Tensor x) {
    return Rows.of(x, sequence, head);
  }

  void run() {
    int size = k.size() * v.size();
    double[] adjoint = ReferenceLightning.state(call.dLast(), sequence.last(), head, size);
    double[] last = passStates();
    for (int i = 0; i < size; i++) {
      dLogDecay += tokens * adjoint[i] * last[i];
    }
    passAdjoints(adjoint);
    ReferenceLightning.setState(call.outDInitial(), sequence.initial(), head, adjoint);
    if (call.outDLogDecay() != null) {
      call.outDLogDecay().accessor().set(index * call.q().size(2) + head, dLogDecay);
    }
  }

  /** Writes dq; returns the last state. */
  private double[] passStates() {
    Rows dq = call.outDq() == null ? null : rows(call.outDq());
    double[] s =
        ReferenceLightning.state(call.initial(), sequence.initial(), head, k.size() * v.size());
    for (long t = 0; t < tokens; t++) {
      addOuter(s, lambda, k.get(t), v.get(t));
      double[] gradient = rowsTimes(s, g.get(t), k.size());
      dLogDecay += (t + 1) * dot(q.get(t), gradient);
      if (dq != null) {
        dq.set(t, times(gradient, q.derivative(t)));
      }
    }
    return s;
  }

  /** Writes dk and dv; leaves the gradient of the initial state in {@code adjoint}. */
  private void passAdjoints(double[] adjoint) {
    Rows dk = call.outDk() == null ? null : rows(call.outDk());
    Rows dv = call.outDv() == null ? null : rows(call.outDv());
    for (long t = tokens - 1; t >= 0; t--) {
      addOuter(adjoint, 1, q.get(t), g.get(t));
      double[] gradient = rowsTimes(adjoint, v.get(t), k.size());
      dLogDecay -= (t + 1) * dot(k.get(t), gradient);
      if (dk != null) {
        dk.set(t, times(gradient, k.derivative(t)));
      }
      if (dv != null) {
        dv.set(t, times(timesColumns(k.get(t), adjoint, v.size()), v.derivative(t)));
      }
      for (int i = 0; i < adjoint.length; i++) {
        adjoint[i] *= lambda;
      }
    }
  }

  /** {@code m = factor m + a^T b}. */
  private static void addOuter(double[] m, double factor, double[] a, double[] b) {
    for (int d = 0; d < a.length; d++) {
      for (int e = 0; e < b.length; e++) {
        int at = d * b.length + e;
        m[at] = factor * m[at] + a[d] * b[e];
      }
    }
  }

  /** {@code m x} for {@code m [rows, x.length]}. */
  private static double[] rowsTimes(double[] m, double[] x, int rows) {
    double[] y = new double[rows];
    for (int d = 0; d < rows; d++) {
      for (int e = 0; e < x.length; e++) {
        y[d] += m[d * x.length + e] * x[e];
      }
    }
    return y;
  }

  /** {@code x m} for {@code m [x.length, columns]}. */
  private static double[] timesColumns(double[] x, double[] m, int columns) {
    double[] y = new double[columns];
    for (int d = 0; d < x.length; d++) {
      for (int e = 0; e < columns; e++) {
        y[e] += x[d] * m[d * columns + e];
      }
    }
    return y;
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static double[] times(double[] a, double[] b) {
    double[] product = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      product[i] = a[i] * b[i];
    }
    return product;
  }
}
