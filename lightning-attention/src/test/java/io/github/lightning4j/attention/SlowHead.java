package io.github.lightning4j.attention;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;

/**
 * A head that remembers tens of thousands of tokens: where small errors of the decay would show.
 */
final class SlowHead {
  private SlowHead() {}

  static void makePositive(Tensor x) {
    Elements elements = x.accessor();
    for (long i = 0; i < x.elements(); i++) {
      elements.set(i, Math.abs(elements.get(i)));
    }
  }

  /**
   * The state after all tokens of the only head: {@code lambda^T S + sum_j lambda^(T-1-j) k^T v}.
   */
  static double[] finalState(Problem p) {
    double[][] k = Problem.rows(Problem.head(p.k, 0, 0));
    double[][] v = Problem.rows(Problem.head(p.v, 0, 0));
    double log = p.decay.logDecay(0);
    double[] state = p.initial.toDoubles();
    for (int i = 0; i < state.length; i++) {
      state[i] *= Math.exp(log * k.length);
    }
    for (int j = 0; j < k.length; j++) {
      double weight = Math.exp(log * (k.length - 1 - j));
      for (int d = 0; d < k[j].length; d++) {
        for (int e = 0; e < v[j].length; e++) {
          state[d * v[j].length + e] += weight * k[j][d] * v[j][e];
        }
      }
    }
    return state;
  }

  static double relativeError(Tensor state, double[] expected) {
    double[] got = state.toDoubles();
    double worst = 0;
    for (int i = 0; i < got.length; i++) {
      worst = Math.max(worst, Math.abs(got[i] / expected[i] - 1));
    }
    return worst;
  }
}
