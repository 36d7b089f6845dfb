package io.github.lightning4j.attention;

/**
 * Lightning attention of one head written out without a state, in double: an oracle that shares
 * nothing with the recurrence and the chunks it checks. With tokens counted from 0:
 *
 * <pre>
 * o_t = sum_(j &lt;= t) lambda^(t-j) (q_t . k_j) v_j + lambda^(t+1) q_t S
 * S'  = lambda^T S + sum_j lambda^(T-1-j) k_j^T v_j
 * </pre>
 *
 * <p>Its gradients for dO and dS' are written out the same way.
 */
final class QuadraticForm {
  final double[][] out;
  final double[][] finalState;
  private final double[][] q;
  private final double[][] k;
  private final double[][] v;
  private final double[][] state;
  private final double logDecay;
  private final int tokens;

  QuadraticForm(double[][] q, double[][] k, double[][] v, double[][] state, double logDecay) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.state = state;
    this.logDecay = logDecay;
    this.tokens = q.length;
    this.out = new double[tokens][state[0].length];
    this.finalState = new double[state.length][state[0].length];
    for (int t = 0; t < tokens; t++) {
      for (int j = 0; j <= t; j++) {
        add(out[t], power(t - j) * dot(q[t], k[j]), v[j]);
      }
      for (int d = 0; d < state.length; d++) {
        add(out[t], power(t + 1) * q[t][d], state[d]);
      }
    }
    for (int d = 0; d < state.length; d++) {
      add(finalState[d], power(tokens), state[d]);
      for (int j = 0; j < tokens; j++) {
        add(finalState[d], power(tokens - 1 - j) * k[j][d], v[j]);
      }
    }
  }

  /** Gradients of {@code sum(out * g) + sum(finalState * r)}. */
  final class Gradient {
    final double[][] dq = new double[tokens][state.length];
    final double[][] dk = new double[tokens][state.length];
    final double[][] dv = new double[tokens][state[0].length];
    final double[][] dState = new double[state.length][state[0].length];
    double dLogDecay;

    /** The root of the sum of squares of its terms: how large it is if they have random signs. */
    double typicalDLogDecay;

    private double squares;

    Gradient(double[][] g, double[][] r) {
      for (int t = 0; t < tokens; t++) {
        for (int j = 0; j <= t; j++) {
          double decay = power(t - j);
          double along = dot(g[t], v[j]);
          double score = dot(q[t], k[j]);
          add(dq[t], decay * along, k[j]);
          add(dk[j], decay * along, q[t]);
          add(dv[j], decay * score, g[t]);
          addTerm((t - j) * decay * along * score);
        }
      }
      for (int d = 0; d < state.length; d++) {
        throughState(d, g, r[d]);
      }
    }

    private void throughState(int d, double[][] g, double[] r) {
      for (int t = 0; t < tokens; t++) {
        double inward = power(t + 1);
        dq[t][d] += inward * dot(g[t], state[d]);
        add(dState[d], inward * q[t][d], g[t]);
        addTerm((t + 1) * inward * q[t][d] * dot(g[t], state[d]));
        double outward = power(tokens - 1 - t);
        dk[t][d] += outward * dot(v[t], r);
        add(dv[t], outward * k[t][d], r);
        addTerm((tokens - 1 - t) * outward * k[t][d] * dot(v[t], r));
      }
      add(dState[d], power(tokens), r);
      addTerm(tokens * power(tokens) * dot(state[d], r));
    }

    private void addTerm(double term) {
      dLogDecay += term;
      squares += term * term;
      typicalDLogDecay = Math.sqrt(squares);
    }
  }

  private double power(int exponent) {
    return Math.exp(logDecay * exponent);
  }

  private static double dot(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += a[i] * b[i];
    }
    return sum;
  }

  private static void add(double[] to, double factor, double[] x) {
    for (int i = 0; i < x.length; i++) {
      to[i] += factor * x[i];
    }
  }
}
