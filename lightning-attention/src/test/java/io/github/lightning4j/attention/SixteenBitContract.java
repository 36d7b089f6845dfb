package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * BF16 and F16: inputs are widened exactly, so F32 results are as close to the truth as those of
 * F32 inputs; 16-bit results are these rounded once.
 */
abstract class SixteenBitContract {
  private static final int[] TOKENS = {1, 7, 31, 33, 70, 129};
  private static final int[] CHANNELS = {1, 3, 16, 33, 64, 128};

  abstract LightningAttention attention();

  /** Whether BF16 inputs take the prefill on tiles, which rounds more: LightningBf16Contract. */
  boolean prefillsOnTiles() {
    return false;
  }

  private static Problem problem(int i, DType in, DType out, Options options) {
    int dk = CHANNELS[i % CHANNELS.length];
    int dv = CHANNELS[(i * 2 + 1) % CHANNELS.length];
    return new Problem(i, in, out, 2, TOKENS[i % TOKENS.length], dk, dv, options, 0.84, 0.003);
  }

  private static void assertOracle(Problem p) {
    for (long b = 0; b < p.q.size(0); b++) {
      for (long h = 0; h < p.q.size(2); h++) {
        QuadraticForm oracle = p.oracle(b, h);
        Tensor out = Problem.head(p.out, b, h);
        double typical = p.q.size(3);
        Rounded.assertClose("out " + p.out, out, Problem.flat(oracle.out), 1e-10, typical);
        Tensor state = Problem.state(p.state, b, h);
        Rounded.assertClose("state", state, Problem.flat(oracle.finalState), 1e-10, 1);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"BF16, BF16", "BF16, F32", "F16, F16", "F16, F32"})
  void prefillAgreesWithTheQuadraticForm(DType in, DType out) {
    Assumptions.assumeFalse(in == DType.BF16 && prefillsOnTiles());
    for (int i = 0; i < 6; i++) {
      for (Options options : new Options[] {Options.DEFAULT, new Options(0.25f, true)}) {
        try (Problem p = problem(i, in, out, options)) {
          p.prefill(attention());
          assertOracle(p);
        }
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"BF16, BF16", "BF16, F32", "F16, F16", "F16, F32"})
  void decodeAgreesWithTheQuadraticForm(DType in, DType out) {
    for (int i = 0; i < 5; i++) {
      try (Problem p = problem(i, in, out, new Options(0.25f, true));
          Tensor slots = Tensor.of(new int[] {0, 1}, 2)) {
        for (long t = 0; t < p.q.size(1); t++) {
          Tensor to = p.out.select(1, t);
          attention()
              .decode(
                  p.q.select(1, t),
                  p.k.select(1, t),
                  p.v.select(1, t),
                  p.decay,
                  p.options,
                  p.state,
                  slots,
                  to);
        }
        assertOracle(p);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void decodeClearsSkippedRows(DType type) {
    try (Problem p = new Problem(1, type, type, 2, 1, 8, 5, Options.DEFAULT, 0.84, 0.003);
        Tensor slots = Tensor.of(new int[] {-1, 0}, 2)) {
      p.out.select(0, 0).copyFrom(p.dOut.select(0, 0));
      attention()
          .decode(
              p.q.select(1, 0),
              p.k.select(1, 0),
              p.v.select(1, 0),
              p.decay,
              p.options,
              p.state,
              slots,
              p.out.select(1, 0));
      assertThat(p.out.select(0, 0).toFloats()).containsOnly(0f);
      assertThat(p.out.select(0, 1).toFloats()).doesNotContain(0f);
    }
  }

  @ParameterizedTest
  @CsvSource({"BF16, BF16", "BF16, F32", "F16, F16", "F16, F32"})
  void gradientsAgreeWithTheQuadraticForm(DType in, DType gradients) {
    for (int i = 0; i < 6; i++) {
      try (Problem p = problem(i, in, in, Options.DEFAULT);
          BackwardRun run = new BackwardRun(p, gradients)) {
        run.withDLogDecay(attention());
        run.assertOracle(1e-10);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void gradientsThroughSiluAreThoseOfTheWidenedInputs(DType type) {
    Options options = new Options(0.5f, true);
    try (Problem narrow = new Problem(2, type, type, 2, 40, 17, 24, options, 0.84, 0.003);
        Problem wide = new Problem(2, 2, 40, 17, 24, options, 0.84, 0.003);
        BackwardRun rounded = new BackwardRun(narrow, type);
        BackwardRun widened = new BackwardRun(narrow);
        BackwardRun expected = new BackwardRun(wide)) {
      wide.fused.copyFrom(narrow.scope.add(floats(narrow.fused)));
      wide.dOut.copyFrom(narrow.scope.add(floats(narrow.dOut)));
      rounded.withDLogDecay(attention());
      widened.withDLogDecay(attention());
      expected.withDLogDecay(attention());
      assertThat(widened.all()).isEqualTo(expected.all());
      assertThat(widened.dLogDecay.toFloats()).isEqualTo(expected.dLogDecay.toFloats());
      rounded.assertClose(expected, 1e-12);
    }
  }

  private static Tensor floats(Tensor x) {
    return Tensor.of(x.toFloats(), x.shape());
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void outputGradientsMayBeWiderThanTheInputs(DType type) {
    try (Problem p = new Problem(3, type, type, 1, 50, 16, 8, Options.DEFAULT, 0.3)) {
      Tensor wide = p.scope.add(floats(p.dOut));
      Tensor first = p.scope.allocate(type, p.q.shape());
      Tensor second = p.scope.allocate(type, p.q.shape());
      attention().backward(p.pass(), new Gradients(p.dOut).outDq(first));
      attention().backward(p.pass(), new Gradients(wide).outDq(second));
      assertThat(second.toFloats()).isEqualTo(first.toFloats());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void overflowIsInfinityAndNotANumberStaysOne(DType type) {
    try (Problem p = new Problem(4, type, type, 1, 3, 16, 16, Options.DEFAULT, 0.3)) {
      Problem.head(p.v, 0, 0).select(0, 0).accessor().set(8, Double.NaN);
      Problem.state(p.initial, 0, 0).select(0, 0).accessor().set(3, 3e38);
      p.q.accessor().set(0, 1.5);
      attention().prefill(p.pass().initialState(p.initial));
      float[] out = p.out.toFloats();
      assertThat(out[8]).isNaN();
      assertThat(Math.abs(out[3]) > (type == DType.F16 ? 65504 : 1e37)).isTrue();
      assertThat(out[0]).isFinite();
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Problem p = new Problem(5, DType.BF16, DType.BF16, 1, 3, 16, 16, Options.DEFAULT, 0.3);
        BackwardRun run = new BackwardRun(p, DType.BF16)) {
      FlatMemory.assertFlat(
          "16 bits",
          10_000,
          () -> {
            p.prefill(attention());
            run.withDLogDecay(attention());
          });
    }
  }
}
