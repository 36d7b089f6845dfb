package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The slowest and the fastest heads over long sequences. */
abstract class DecayRangeContract {
  private static final int MANY = 100_000;
  private static final double SLOWEST = 5e-5;

  abstract LightningAttention attention();

  /** Values of one sign: errors of the decay add up instead of cancelling. */
  private static Problem slow() {
    Problem p = new Problem(10, 1, MANY, 4, 4, SLOWEST);
    SlowHead.makePositive(p.fused);
    return p;
  }

  @Test
  void prefillKeepsSlowHeadsExactOverManyTokens() {
    try (Problem p = slow()) {
      double[] expected = SlowHead.finalState(p);
      p.prefill(attention());
      assertThat(SlowHead.relativeError(p.state, expected)).isLessThan(1e-5);
      double[] out = lastOutput(p, expected);
      assertThat(SlowHead.relativeError(p.out.narrow(1, MANY - 1, 1), out)).isLessThan(1e-5);
    }
  }

  /** The output of the last token, whose state this is. */
  private static double[] lastOutput(Problem p, double[] state) {
    double[] q = Problem.head(p.q, 0, 0).select(0, MANY - 1).toDoubles();
    double[] out = new double[4];
    for (int i = 0; i < state.length; i++) {
      out[i % 4] += q[i / 4] * state[i];
    }
    return out;
  }

  @ParameterizedTest
  @ValueSource(ints = {7, 256})
  void piecesKeepSlowHeadsExactOverManyTokens(int piece) {
    try (Problem p = slow()) {
      for (int t = 0; t < MANY; t += piece) {
        int m = Math.min(piece, MANY - t);
        attention().prefill(p.pass(t, m, p.out.narrow(1, t, m)).state(p.state));
      }
      assertThat(SlowHead.relativeError(p.state, SlowHead.finalState(p))).isLessThan(1e-5);
    }
  }

  @Test
  void decodeKeepsSlowHeadsExactOverManyTokens() {
    try (Problem p = slow();
        Tensor slot = Tensor.of(new int[] {0}, 1)) {
      // With lambda in one float the errors would add up to 4e-4.
      for (int t = 0; t < MANY; t++) {
        Tensor to = p.out.select(1, t);
        Tensor q = p.q.select(1, t);
        Tensor k = p.k.select(1, t);
        Tensor v = p.v.select(1, t);
        attention().decode(q, k, v, p.decay, p.options, p.state, slot, to);
      }
      assertThat(SlowHead.relativeError(p.state, SlowHead.finalState(p))).isLessThan(2e-5);
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.92, 5, 200})
  void fastHeadsStayFinite(double slope) {
    try (Problem p = new Problem(9, 1, 1000, 16, 16, slope);
        BackwardRun run = new BackwardRun(p)) {
      p.prefill(attention());
      run.withDLogDecay(attention());
      assertFinite(List.of(p.out, p.state, run.dLogDecay));
      assertThat(run.all()).doesNotContain(Double.NaN, Double.POSITIVE_INFINITY);
      QuadraticForm oracle = p.oracle(0, 0);
      Closeness.assertNmse("out", p.out.toDoubles(), Problem.flat(oracle.out), 1e-10, 16);
      if (slope < 100) { // beyond, the gradient of the decay is 1e-85: zero but for rounding
        run.assertOracle(1e-10);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.92, 5, 200})
  void fastHeadsStayFiniteInPiecesOf256(double slope) {
    int tokens = 20 * 256;
    try (Problem p = new Problem(11, 1, tokens, 16, 16, slope)) {
      Tensor whole = p.scope.allocate(p.out.dtype(), p.out.shape());
      attention().prefill(p.pass(whole).initialState(p.initial));
      for (int t = 0; t < tokens; t += 256) {
        attention().prefill(p.pass(t, 256, p.out.narrow(1, t, 256)).state(p.state));
      }
      assertFinite(List.of(p.out, p.state, whole));
      Closeness.assertNmse("out", p.out, whole, 1e-12);
    }
  }

  private static void assertFinite(List<Tensor> tensors) {
    for (Tensor tensor : tensors) {
      for (float x : tensor.toFloats()) {
        assertThat(x).isFinite();
      }
    }
  }
}
