package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every implementation of {@link LightningAttention#prefill} must do with bf16 inputs. */
abstract class LightningBf16Contract {
  private static final int[] CHANNELS = {1, 8, 15, 16, 17, 31, 32, 33, 48, 64, 72, 128};
  private static final double[] SLOPES = {0, 0.003, 0.92};

  abstract LightningAttention attention();

  private static Problem problem(long seed, DType out, long t, long dk, long dv, double... slopes) {
    return new Problem(seed, DType.BF16, out, 2, t, dk, dv, Options.DEFAULT, slopes);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 127, 129, 300})
  void isNoWorseThanTheNaiveImplementation(int tokens) {
    for (int i = 0; i < (tokens <= 65 ? CHANNELS.length : 4); i++) {
      int dk = CHANNELS[(i + tokens) % CHANNELS.length];
      int dv = CHANNELS[(i * 5 + tokens + 3) % CHANNELS.length];
      check(
          problem(tokens * 100L + i, i % 2 == 0 ? DType.F32 : DType.BF16, tokens, dk, dv, SLOPES));
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {16, 40, 128})
  void appliesSiluAndScaleOnLoad(int channels) {
    Options options = Options.DEFAULT.withSilu(true).withScale(0.3f);
    for (DType out : new DType[] {DType.F32, DType.BF16}) {
      check(new Problem(1, DType.BF16, out, 2, 150, channels, channels, options, SLOPES));
    }
  }

  private void check(Problem problem) {
    try (problem) {
      problem.prefill(attention());
      for (long b = 0; b < problem.out.size(0); b++) {
        for (int h = 0; h < SLOPES.length; h++) {
          QuadraticForm truth = problem.oracle(b, h);
          NaiveBf16 naive = new NaiveBf16(problem, b, h);
          String what = problem.q + ", " + problem.out + ", row " + b + ", head " + h;
          Closeness.assertNoWorseThanNaive(
              what + " out",
              Problem.head(problem.out, b, h).toDoubles(),
              NaiveBf16.flat(naive.out),
              Problem.flat(truth.out));
          Closeness.assertNoWorseThanNaive(
              what + " state",
              Problem.state(problem.state, b, h).toDoubles(),
              NaiveBf16.flat(naive.state),
              Problem.flat(truth.finalState));
        }
      }
    }
  }

  @Test
  void keepsStatesNearlyAsExactAsFp32() {
    try (Problem p = problem(2, DType.F32, 1000, 33, 40, SLOPES)) {
      p.prefill(attention());
      for (int h = 0; h < SLOPES.length; h++) {
        Closeness.assertNmse(
            "head " + h,
            Problem.state(p.state, 1, h).toDoubles(),
            Problem.flat(p.oracle(1, h).finalState),
            1e-10,
            1);
      }
    }
  }

  @Test
  void keepsSlowHeadsExactOverManyTokens() {
    Options plain = Options.DEFAULT;
    try (Problem p = new Problem(3, DType.BF16, DType.BF16, 1, 20_000, 8, 8, plain, 5e-5)) {
      // Values of one sign: decays rounded to bf16 would be lost, those below 1 - 2^-9 even wholly.
      SlowHead.makePositive(p.fused);
      p.prefill(attention());
      assertThat(SlowHead.relativeError(p.state, SlowHead.finalState(p))).isLessThan(1e-5);
    }
  }

  @Test
  void keepsFastHeadsFinite() {
    for (double slope : new double[] {0.92, 5, 200}) {
      try (Problem p = problem(4, DType.F32, 500, 16, 16, slope)) {
        p.prefill(attention());
        for (float x : p.out.toFloats()) {
          assertThat(x).isFinite();
        }
      }
    }
  }

  @Test
  void givesStatesAloneAndOnTheWay() {
    try (Problem p = problem(5, DType.F32, 260, 24, 40, 0.05, 0.0);
        Tensor onTheWay = Tensor.allocate(DType.F32, 2 * 5, 2, 24, 40)) {
      attention()
          .prefill(
              new Prefill(p.q, p.k, p.v, p.decay, p.options, p.out)
                  .state(p.state)
                  .snapshots(50, onTheWay));
      for (int i = 0; i < 5; i++) {
        try (Problem prefix = problem(5, DType.F32, 260, 24, 40, 0.05, 0.0)) {
          int tokens = 50 * (i + 1);
          attention()
              .prefill(
                  prefix.q.narrow(1, 0, tokens),
                  prefix.k.narrow(1, 0, tokens),
                  prefix.v.narrow(1, 0, tokens),
                  prefix.decay,
                  prefix.options,
                  prefix.state,
                  prefix.out.narrow(1, 0, tokens));
          for (int b = 0; b < 2; b++) {
            Closeness.assertNmse(
                "after " + tokens, onTheWay.select(0, b * 5 + i), prefix.state.select(0, b), 1e-10);
          }
        }
      }
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Problem one = longProblem()) {
      Threads.use(1);
      one.prefill(attention());
      for (int threads : new int[] {2, 4, 16}) {
        Threads.use(threads);
        try (Problem many = longProblem()) {
          many.prefill(attention());
          assertThat(many.out.toFloats()).isEqualTo(one.out.toFloats());
          assertThat(many.state.toFloats()).isEqualTo(one.state.toFloats());
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  /** So long that it is split into segments, with values in some columns that are not finite. */
  private static Problem longProblem() {
    Options plain = Options.DEFAULT;
    Problem p = new Problem(6, DType.BF16, DType.BF16, 1, 4500, 40, 96, plain, 0.02);
    Tensor v = Problem.head(p.v, 0, 0);
    v.select(0, 2100).accessor().set(3, Double.NaN);
    v.select(0, 4300).accessor().set(70, Double.POSITIVE_INFINITY);
    return p;
  }

  @Test
  void keepsWhatIsNotFiniteFromEarlierTokensAndOtherHeads() {
    for (int at : new int[] {0, 5, 15, 16, 31, 32, 40, 63, 64, 100}) {
      for (String which : new String[] {"q", "k", "v", "infinite v"}) {
        try (Problem clean = problem(7, DType.F32, 130, 16, 40, 0.84, 0.02);
            Problem dirty = problem(7, DType.F32, 130, 16, 40, 0.84, 0.02)) {
          Tensor x = which.equals("q") ? dirty.q : which.equals("k") ? dirty.k : dirty.v;
          double poison = which.equals("infinite v") ? Double.NEGATIVE_INFINITY : Double.NaN;
          Problem.head(x, 1, 0).select(0, at).accessor().set(3, poison);
          clean.prefill(attention());
          dirty.prefill(attention());
          String what = which + " at " + at;
          assertDiffer(what, clean, dirty, at, which.equals("q") ? at + 1 : 130, x == dirty.v);
        }
      }
    }
  }

  /**
   * Tokens [from, to) of head 0 of row 1, in one column only or in all, are not finite; all else is
   * the same.
   */
  private static void assertDiffer(
      String what, Problem clean, Problem dirty, int from, int to, boolean oneColumn) {
    for (int b = 0; b < 2; b++) {
      for (int h = 0; h < 2; h++) {
        float[] want = Problem.head(clean.out, b, h).toFloats();
        float[] got = Problem.head(dirty.out, b, h).toFloats();
        for (int i = 0; i < want.length; i++) {
          int t = i / 40;
          if (b == 1 && h == 0 && t >= from && t < to && (!oneColumn || i % 40 == 3)) {
            assertThat(Float.isFinite(got[i])).as("%s: token %s", what, t).isFalse();
          } else {
            assertThat(got[i]).as("%s: token %s", what, t).isEqualTo(want[i]);
          }
        }
      }
    }
  }
}
