package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Arrays;
import java.util.Random;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What every implementation of {@link LightningAttention#prefill} must do. */
abstract class LightningAttentionContract {
  static final int[] CHANNELS = {1, 3, 8, 16, 31, 33, 64, 128};

  abstract LightningAttention attention();

  @ParameterizedTest
  @ValueSource(
      strings = {
        "lightning_n7_d16",
        "lightning_n33_state",
        "lightning_n256_rect",
        "lightning_n300_d32"
      })
  void givesTheGoldenOutputsAndStates(String name) {
    try (Golden golden = new Golden(name)) {
      Tensor state = golden.tensor("init_state");
      Tensor out = golden.likeTokens("out");
      attention()
          .prefill(
              golden.byTokens("q"),
              golden.byTokens("k"),
              golden.byTokens("v"),
              golden.decay(),
              Options.DEFAULT,
              state,
              out);
      golden.assertClose("out", Golden.swapped(out));
      golden.assertClose("final_state", state);
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257})
  void agreesWithTheQuadraticFormOverAwkwardSizes(int tokens) {
    int pairs = tokens <= 65 ? CHANNELS.length : 3;
    for (int i = 0; i < pairs; i++) {
      int dk = CHANNELS[(i + tokens) % CHANNELS.length];
      int dv = CHANNELS[(i * 3 + tokens + 5) % CHANNELS.length];
      check(new Problem(tokens * 100L + i, 2, tokens, dk, dv, 0.84, 0.003));
    }
  }

  @Test
  void takesAnyHeadSize() {
    for (int channels : new int[] {5, 6, 17, 40, 96, 300}) {
      check(new Problem(channels, 1, 40, channels, channels, 0.1));
      check(new Problem(channels, 1, 40, 128, channels, 0.0));
    }
  }

  @Test
  void appliesSiluAndScaleOnLoad() {
    Options options = Options.DEFAULT.withSilu(true).withScale(0.25f);
    check(new Problem(1, 2, 70, 33, 16, options, 0.84, 0.003));
    check(new Problem(2, 1, 40, 128, 128, options, 0.05));
  }

  private void check(Problem problem) {
    try (problem) {
      problem.prefill(attention());
      assertOracle(problem, problem.out, problem.state);
    }
  }

  private static void assertOracle(Problem problem, Tensor out, Tensor state) {
    double typical = problem.q.size(3);
    for (long b = 0; b < out.size(0); b++) {
      for (long h = 0; h < out.size(2); h++) {
        QuadraticForm oracle = problem.oracle(b, h);
        String what = "T, Dk, Dv = " + out.size(1) + ", " + Arrays.toString(state.shape());
        Closeness.assertNmse(
            what + " out",
            Problem.head(out, b, h).toDoubles(),
            Problem.flat(oracle.out),
            1e-10,
            typical);
        Closeness.assertNmse(
            what + " state",
            Problem.state(state, b, h).toDoubles(),
            Problem.flat(oracle.finalState),
            1e-10,
            1);
      }
    }
  }

  @Test
  void takesStridedInputsAndOutputsWithoutCopy() {
    try (Problem p = new Problem(5, 2, 50, 16, 24, 0.3, 0.01, 0.5)) {
      // [B, T, H, D] over memory laid out [B, H, T, D + 3]
      Tensor q = p.scope.allocate(DType.F32, 2, 3, 50, 19).narrow(3, 2, 16);
      Tensor byTokens =
          q.strided(0, p.q.shape(), new long[] {q.stride(0), q.stride(2), q.stride(1), 1});
      byTokens.copyFrom(p.q);
      Tensor wide = p.scope.allocate(DType.F32, 2, 50, 3, 30);
      Tensor out = wide.narrow(3, 3, 24);
      attention().prefill(byTokens, p.k, p.v, p.decay, p.options, p.state, out);
      assertOracle(p, out, p.state);
      double around = 0;
      for (double x : wide.narrow(3, 0, 3).toDoubles()) {
        around += Math.abs(x);
      }
      for (double x : wide.narrow(3, 27, 3).toDoubles()) {
        around += Math.abs(x);
      }
      assertThat(around).isZero();
    }
  }

  @Test
  void writesBetweenItsInputsIfNothingIsShared() {
    try (Problem p = new Problem(6, 1, 40, 8, 8, 0.3, 0.01)) {
      Tensor fused = p.scope.allocate(DType.F32, 1, 40, 2, 32);
      fused.narrow(3, 0, 24).copyFrom(p.fused);
      Tensor out = fused.narrow(3, 24, 8);
      attention()
          .prefill(
              fused.narrow(3, 0, 8),
              fused.narrow(3, 8, 8),
              fused.narrow(3, 16, 8),
              p.decay,
              p.options,
              p.state,
              out);
      assertOracle(p, out, p.state);
    }
  }

  @Test
  void givesTheSameInAnyPieces() {
    try (Problem p = new Problem(7, 2, 300, 33, 16, 0.84, 0.02)) {
      Random random = new Random(1);
      for (int from = 0; from < 300; ) {
        int length = Math.min(300 - from, random.nextInt(5) == 0 ? 0 : random.nextInt(90));
        attention()
            .prefill(
                p.q.narrow(1, from, length),
                p.k.narrow(1, from, length),
                p.v.narrow(1, from, length),
                p.decay,
                p.options,
                p.state,
                p.out.narrow(1, from, length));
        from += length;
      }
      assertOracle(p, p.out, p.state);
    }
  }

  @Test
  void leavesEverythingAsItIsForNoTokens() {
    try (Problem p = new Problem(8, 2, 0, 8, 8, 0.84, 0.02)) {
      p.prefill(attention());
      assertThat(p.state.toFloats()).isEqualTo(p.initial.toFloats());
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Problem one = new Problem(11, 3, 100, 33, 16, 0.84, 0.02, 0.001)) {
      Threads.use(1);
      one.prefill(attention());
      for (int threads : new int[] {2, 4}) {
        Threads.use(threads);
        try (Problem many = new Problem(11, 3, 100, 33, 16, 0.84, 0.02, 0.001)) {
          many.prefill(attention());
          assertThat(many.out.toFloats()).isEqualTo(one.out.toFloats());
          assertThat(many.state.toFloats()).isEqualTo(one.state.toFloats());
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Problem p = new Problem(12, 1, 3, 48, 48, 0.84)) {
      long before = Pointer.physicalBytes();
      FlatMemory.assertFlat("prefill", 10_000, () -> p.prefill(attention()));
      // Scratch memory lost at each call would be 500 MB.
      assertThat(Pointer.physicalBytes() - before).isLessThan(300L << 20);
    }
  }

  @Test
  void keepsNotANumberFromEarlierTokensAndOtherHeads() {
    for (int at : new int[] {0, 4, 5, 6, 31, 32, 39, 69}) {
      for (String which : new String[] {"q", "k", "v"}) {
        try (Problem clean = new Problem(13, 2, 70, 16, 16, 0.84, 0.02);
            Problem dirty = new Problem(13, 2, 70, 16, 16, 0.84, 0.02)) {
          Tensor x = which.equals("q") ? dirty.q : which.equals("k") ? dirty.k : dirty.v;
          float poison = which.equals("v") ? Float.POSITIVE_INFINITY : Float.NaN;
          Problem.head(x, 1, 0).select(0, at).accessor().set(3, poison);
          clean.prefill(attention());
          dirty.prefill(attention());
          assertOnlyLaterTokensDiffer(clean, dirty, at, which.equals("q") ? at + 1 : 70);
        }
      }
    }
  }

  /** Tokens [from, to) of head 0 of row 1 may differ and the first of them must. */
  private static void assertOnlyLaterTokensDiffer(Problem clean, Problem dirty, int from, int to) {
    for (int b = 0; b < 2; b++) {
      for (int h = 0; h < 2; h++) {
        for (int t = 0; t < 70; t++) {
          float[] got = Problem.head(dirty.out, b, h).narrow(0, t, 1).toFloats();
          if (b == 1 && h == 0 && t >= from && t < to) {
            boolean finite = true;
            for (float x : got) {
              finite &= Float.isFinite(x);
            }
            assertThat(finite).as("token %s, poison at %s", t, from).isFalse();
          } else {
            float[] want = Problem.head(clean.out, b, h).narrow(0, t, 1).toFloats();
            assertThat(got).as("token %s, poison at %s", t, from).isEqualTo(want);
          }
        }
      }
    }
    assertThat(Problem.state(dirty.state, 0, 0).toFloats())
        .isEqualTo(Problem.state(clean.state, 0, 0).toFloats());
  }
}
