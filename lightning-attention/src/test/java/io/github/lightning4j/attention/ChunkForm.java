package io.github.lightning4j.attention;

/**
 * Lightning attention of one head chunk by chunk, in double, as the papers write it: with S the
 * state before a chunk of m tokens and i, j counted within it,
 *
 * <pre>
 * o_i = sum_(j &lt;= i) lambda^(i-j) (q_i . k_j) v_j + lambda^(i+1) q_i S
 * S   = lambda^m S + sum_j lambda^(m-1-j) k_j^T v_j
 * </pre>
 */
final class ChunkForm {
  final double[][] out;
  final double[][] state;

  ChunkForm(Problem p, long row, long head, int[] chunks) {
    double[][] q = Problem.rows(Problem.head(p.q, row, head));
    double[][] k = Problem.rows(Problem.head(p.k, row, head));
    double[][] v = Problem.rows(Problem.head(p.v, row, head));
    double log = p.decay.logDecay((int) head);
    state = Problem.rows(Problem.state(p.initial, row, head));
    out = new double[q.length][v.length == 0 ? 0 : v[0].length];
    int from = 0;
    for (int m : chunks) {
      for (int i = 0; i < m; i++) {
        double[] o = out[from + i];
        for (int j = 0; j <= i; j++) {
          double score = 0;
          for (int d = 0; d < state.length; d++) {
            score += q[from + i][d] * k[from + j][d];
          }
          add(o, Math.exp(log * (i - j)) * score, v[from + j]);
        }
        for (int d = 0; d < state.length; d++) {
          add(o, Math.exp(log * (i + 1)) * q[from + i][d], state[d]);
        }
      }
      for (int d = 0; d < state.length; d++) {
        double[] s = state[d];
        for (int e = 0; e < s.length; e++) {
          s[e] *= Math.exp(log * m);
        }
        for (int j = 0; j < m; j++) {
          add(s, Math.exp(log * (m - 1 - j)) * k[from + j][d], v[from + j]);
        }
      }
      from += m;
    }
  }

  private static void add(double[] to, double factor, double[] x) {
    for (int i = 0; i < x.length; i++) {
      to[i] += factor * x[i];
    }
  }
}
