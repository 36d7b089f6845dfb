package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** A norm on the way out gives what {@link GatedRmsNorm} makes of the bare outputs. */
abstract class FusedNormContract {
  private static final float EPS = 1e-6f;

  abstract Backend backend();

  private LightningAttention attention() {
    return LightningAttention.of(backend());
  }

  /** The truth from bare F32 outputs {@code [B, T, H, Dv]} or {@code [B, H, Dv]}. */
  private static double[] normed(Tensor bare, Tensor weight, @Nullable Tensor gate) {
    long width = weight.size(0);
    Tensor rows = bare.reshape(bare.elements() / width, width);
    Tensor gates = gate == null ? null : gate.reshape(rows.shape());
    return NormFormula.exact().out(rows, gates, weight, EPS);
  }

  private static Tensor weight(Problem p, DType type) {
    return p.scope.add(Cases.normal(70, type, p.v.size(2) * p.v.size(3)));
  }

  private static Tensor gate(Problem p, DType type) {
    long width = p.v.size(2) * p.v.size(3);
    return p.scope.add(Cases.normal(71, type, p.v.size(0), p.v.size(1), width));
  }

  /** The bare outputs in F32. */
  private static Tensor bare(Problem p) {
    return p.scope.allocate(DType.F32, p.out.shape());
  }

  @ParameterizedTest
  @CsvSource({
    "F32, F32, F32, F32", "F32, F32, BF16, F32", "F32, F32, F16, F32",
    "BF16, BF16, BF16, BF16", "BF16, BF16, F32, F32", "BF16, F32, BF16, BF16",
    "F16, F16, F16, F16", "F16, F32, F32, F16"
  })
  void agreesWithTheFormula(DType in, DType out, DType weights, DType gates) {
    for (int tokens : new int[] {1, 33, 70}) {
      try (Problem p =
          new Problem(tokens, in, out, 2, tokens, 16, 24, Options.DEFAULT, 0.8, 0.01)) {
        Tensor bare = bare(p);
        attention().prefill(p.pass(bare).initialState(p.initial));
        Tensor weight = weight(p, weights);
        Tensor gate = gate(p, gates);
        for (Tensor g : new Tensor[] {null, gate}) {
          p.state.copyFrom(p.initial);
          attention().prefill(p.pass().state(p.state).norm(new OutputNorm(weight, EPS, g)));
          Rounded.assertClose("normed", p.out, normed(bare, weight, g), 1e-10, 1);
        }
        Tensor state = p.scope.allocate(DType.F32, p.state.shape());
        attention().prefill(p.pass(bare).initialState(p.initial).finalState(state));
        assertThat(p.state.toFloats()).isEqualTo(state.toFloats());
      }
    }
  }

  @Test
  void isTheSeparateNormBitForBitWithinABlock() {
    try (Problem p = new Problem(1, 2, 130, 16, 24, 0.8, 0.01)) {
      Tensor weight = weight(p, DType.F32);
      Tensor gate = gate(p, DType.F32);
      attention().prefill(p.pass().norm(new OutputNorm(weight, EPS, gate)));
      Tensor bare = bare(p);
      attention().prefill(p.pass(bare));
      Tensor rows = bare.reshape(260, 48);
      GatedRmsNorm.of(backend()).apply(rows, gate.reshape(260, 48), weight, EPS, rows);
      assertThat(p.out.toFloats()).isEqualTo(bare.toFloats());
    }
  }

  @ParameterizedTest
  @CsvSource({"F32, 100", "F16, 256"})
  void crossesBlocks(DType out, int every) {
    // Blocks are 1 MiB of outputs in F32: 256 tokens of 16 heads of 64.
    double[] slopes = new double[16];
    for (int h = 0; h < slopes.length; h++) {
      slopes[h] = 0.9 / (1 << h);
    }
    try (Problem p = new Problem(2, out, out, 2, 700, 8, 64, Options.DEFAULT, slopes)) {
      Tensor weight = weight(p, DType.F32);
      Tensor gate = gate(p, DType.F32);
      Tensor bare = bare(p);
      Tensor state = p.scope.allocate(DType.F32, p.state.shape());
      long count = 2 * Prefill.snapshotCount(0, 700, every);
      Tensor taken = p.scope.allocate(DType.F32, count, 16, 8, 64);
      Tensor expected = p.scope.allocate(DType.F32, count, 16, 8, 64);
      attention()
          .prefill(
              p.pass(bare).initialState(p.initial).finalState(state).snapshots(every, expected));
      attention()
          .prefill(
              p.pass()
                  .state(p.state)
                  .snapshots(every, taken)
                  .norm(new OutputNorm(weight, EPS, gate)));
      Rounded.assertClose("normed", p.out, normed(bare, weight, gate), 1e-10, 1);
      Closeness.assertNmse("state", p.state, state, 1e-12);
      Closeness.assertNmse("snapshots", taken, expected, 1e-12);
      attention().prefill(p.pass().norm(new OutputNorm(weight, EPS, gate)));
      attention().prefill(p.pass(bare));
      // States that enter a block are multiplied on tiles in two parts of bf16.
      double limit = out == DType.BF16 ? 1e-8 : 1e-10;
      Rounded.assertClose("without states", p.out, normed(bare, weight, gate), limit, 1);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void goesOverPackedSequencesInBlocks(boolean inPlace) {
    // Blocks of 512 tokens: sequences within one, across one border, across several, and skipped.
    int[] lengths = {500, 0, 100, 3, 1200, 40, 900, 1, 0, 20};
    int[] slots = {3, 0, 8, -1, 5, 1, -1, 2, 9, 4};
    double[] slopes = {0.9, 0.1, 0.01, 0.001};
    try (Packed x = new Packed(3, 5, 128, Options.DEFAULT, lengths, slopes)) {
      Tensor weight = weight(x.p, DType.BF16);
      Tensor gate = gate(x.p, DType.F32);
      Tensor slot = x.p.scope.add(Tensor.of(slots, slots.length));
      Tensor bare = bare(x.p);
      Tensor bareLast = x.p.scope.add(Cases.normal(8, DType.F32, x.last.shape()));
      bareLast.copyFrom(inPlace ? x.initial : x.last);
      attention().prefill(x.pass(bare).slots(slot).initialState(x.initial).finalState(bareLast));
      Tensor last = inPlace ? x.initial : x.last;
      attention()
          .prefill(
              x.pass(x.p.out)
                  .slots(slot)
                  .initialState(x.initial)
                  .finalState(last)
                  .norm(new OutputNorm(weight, EPS, gate)));
      Rounded.assertClose("normed", x.p.out, normed(bare, weight, gate), 1e-10, 1);
      assertThat(x.part(x.p.out, 3).toFloats()).containsOnly(0f);
      assertThat(x.part(x.p.out, 6).toFloats()).containsOnly(0f);
      Closeness.assertNmse("states", last, bareLast, 1e-12);
    }
  }

  @ParameterizedTest
  @CsvSource({"F32, F32", "BF16, BF16", "F16, F32"})
  void followsDecodeToo(DType in, DType out) {
    try (Problem p = new Problem(4, in, out, 3, 1, 16, 24, Options.DEFAULT, 0.8, 0.01)) {
      Tensor weight = weight(p, DType.BF16);
      Tensor gate = gate(p, in).select(1, 0);
      Tensor slots = p.scope.add(Tensor.of(new int[] {2, -1, 0}, 3));
      for (Tensor g : new Tensor[] {null, gate}) {
        Tensor bare = p.scope.allocate(DType.F32, 3, 2, 24);
        p.state.copyFrom(p.initial);
        decode(p, slots, null, bare);
        Tensor after = p.scope.allocate(DType.F32, p.state.shape());
        after.copyFrom(p.state);
        p.state.copyFrom(p.initial);
        Tensor to = p.out.reshape(3, 2, 24);
        decode(p, slots, new OutputNorm(weight, EPS, g), to);
        Tensor gates = g == null ? null : p.scope.add(Tensor.of(g.toFloats(), 3, 48));
        Rounded.assertClose("normed", to, normed(bare, weight, gates), 1e-10, 1);
        assertThat(p.state.toFloats()).isEqualTo(after.toFloats());
      }
    }
  }

  private void decode(Problem p, Tensor slots, @Nullable OutputNorm norm, Tensor out) {
    Tensor q = p.q.select(1, 0);
    Tensor k = p.k.select(1, 0);
    attention().decode(q, k, p.v.select(1, 0), p.decay, p.options, p.state, slots, norm, out);
  }

  @Test
  void keepsSkippedRowsZeroWithoutEps() {
    try (Problem p = new Problem(5, 2, 1, 8, 8, 0.8)) {
      OutputNorm norm = new OutputNorm(weight(p, DType.F32), 0, null);
      Tensor slots = p.scope.add(Tensor.of(new int[] {-1, 1}, 2));
      decode(p, slots, norm, p.out.select(1, 0));
      assertThat(p.out.select(0, 0).toFloats()).containsOnly(0f);
      p.out.copyFrom(p.dOut);
      attention().prefill(p.pass().slots(slots).state(p.state).norm(norm));
      assertThat(p.out.select(0, 0).toFloats()).containsOnly(0f);
      assertThat(p.out.select(0, 1).toFloats()).doesNotContain(Float.NaN, 0f);
    }
  }

  @Test
  void writesRowsThatAreApart() {
    try (Problem p = new Problem(6, 2, 40, 8, 8, 0.8, 0.01)) {
      OutputNorm norm = new OutputNorm(weight(p, DType.F32), EPS, gate(p, DType.F32));
      attention().prefill(p.pass().norm(norm));
      Tensor wide = p.scope.allocate(DType.F32, 2, 40, 3, 8);
      Tensor out = wide.narrow(2, 1, 2);
      attention().prefill(p.pass(out).norm(norm));
      assertThat(out.toFloats()).isEqualTo(p.out.toFloats());
      assertThat(wide.narrow(2, 0, 1).toFloats()).containsOnly(0f);
    }
  }

  @Test
  void changesNothingForNoTokens() {
    try (Problem p = new Problem(7, 2, 0, 8, 8, 0.8)) {
      OutputNorm norm = new OutputNorm(weight(p, DType.F32), EPS, null);
      attention().prefill(p.pass().initialState(p.initial).finalState(p.dFinal).norm(norm));
      assertThat(p.dFinal.toFloats()).isEqualTo(p.initial.toFloats());
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Problem p = new Problem(8, DType.BF16, DType.BF16, 2, 1, 8, 8, Options.DEFAULT, 0.8)) {
      OutputNorm norm = new OutputNorm(weight(p, DType.F32), EPS, gate(p, DType.BF16));
      Prefill pass = p.pass().state(p.state).norm(norm);
      Tensor slots = p.scope.add(Tensor.of(new int[] {-1, 1}, 2));
      OutputNorm each = new OutputNorm(norm.weight(), EPS, null);
      FlatMemory.assertFlat(
          "norm",
          10_000,
          () -> {
            attention().prefill(pass);
            decode(p, slots, each, p.out.select(1, 0).reshape(2, 1, 8));
          });
    }
  }
}
