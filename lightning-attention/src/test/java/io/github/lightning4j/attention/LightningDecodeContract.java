package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.junit.jupiter.api.Test;

/** What every implementation of {@link LightningAttention#decode} must do. */
abstract class LightningDecodeContract {
  abstract LightningAttention attention();

  /** Decodes a problem token by token, on its states as a pool with one slot a row. */
  private void decodeAll(Problem p) {
    int rows = (int) p.q.size(0);
    int[] identity = new int[rows];
    for (int b = 0; b < rows; b++) {
      identity[b] = b;
    }
    try (Tensor slots = Tensor.of(identity, rows)) {
      for (long t = 0; t < p.q.size(1); t++) {
        attention()
            .decode(
                p.q.select(1, t),
                p.k.select(1, t),
                p.v.select(1, t),
                p.decay,
                p.options,
                p.state,
                slots,
                p.out.select(1, t));
      }
    }
  }

  @Test
  void tokenByTokenAgreesWithTheQuadraticForm() {
    for (int dk : LightningAttentionContract.CHANNELS) {
      for (int dv : LightningAttentionContract.CHANNELS) {
        check(new Problem(dk * 1000L + dv, 2, 9, dk, dv, 0.84, 0.003));
      }
    }
    check(new Problem(1, 1, 40, 6, 300, 0.1));
  }

  @Test
  void appliesSiluAndScaleOnLoad() {
    Options options = new Options(0.25f, true);
    check(new Problem(2, 2, 20, 33, 16, options, 0.84, 0.003));
    check(new Problem(3, 1, 20, 64, 64, options, 0.05));
  }

  private void check(Problem problem) {
    try (problem) {
      decodeAll(problem);
      for (long b = 0; b < problem.q.size(0); b++) {
        for (long h = 0; h < problem.q.size(2); h++) {
          QuadraticForm oracle = problem.oracle(b, h);
          Closeness.assertNmse(
              "out",
              Problem.head(problem.out, b, h).toDoubles(),
              Problem.flat(oracle.out),
              1e-10,
              problem.q.size(3));
          Closeness.assertNmse(
              "state",
              Problem.state(problem.state, b, h).toDoubles(),
              Problem.flat(oracle.finalState),
              1e-10,
              1);
        }
      }
    }
  }

  @Test
  void goesOnWherePrefillStopped() {
    try (Problem whole = new Problem(4, 2, 45, 16, 24, 0.3, 0.01);
        Problem pieces = new Problem(4, 2, 45, 16, 24, 0.3, 0.01)) {
      whole.prefill(attention());
      decodeAll(pieces);
      Closeness.assertNmse("out", pieces.out, whole.out, 1e-12);
      Closeness.assertNmse("state", pieces.state, whole.state, 1e-12);
    }
  }

  @Test
  void picksStatesBySlotAndSkipsRowsWithoutOne() {
    try (MemoryScope scope = new MemoryScope();
        Problem p = new Problem(5, 3, 1, 8, 16, 0.3, 0.01)) {
      Tensor pool = scope.add(Cases.normal(6, DType.F32, 5, 2, 8, 16));
      Tensor before = scope.allocate(DType.F32, 5, 2, 8, 16);
      before.copyFrom(pool);
      p.initial.select(0, 0).copyFrom(pool.select(0, 4));
      p.initial.select(0, 2).copyFrom(pool.select(0, 1));
      p.state.copyFrom(p.initial);
      p.prefill(attention());
      Tensor slots = scope.add(Tensor.of(new int[] {4, -1, 1}, 3));
      Tensor out = scope.add(Cases.normal(7, DType.F32, 3, 2, 16));
      attention()
          .decode(
              p.q.select(1, 0),
              p.k.select(1, 0),
              p.v.select(1, 0),
              p.decay,
              p.options,
              pool,
              slots,
              out);
      for (int slot : new int[] {0, 2, 3}) {
        assertThat(pool.select(0, slot).toFloats()).isEqualTo(before.select(0, slot).toFloats());
      }
      assertThat(out.select(0, 1).toFloats()).containsOnly(0f);
      for (int row : new int[] {0, 2}) {
        Tensor state = pool.select(0, row == 0 ? 4 : 1);
        Closeness.assertNmse("state", state, p.state.select(0, row), 1e-12);
        Closeness.assertNmse("out", out.select(0, row), p.out.select(0, row).select(0, 0), 1e-12);
      }
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Problem one = new Problem(9, 7, 3, 128, 64, 0.84, 0.02, 0.001)) {
      Threads.use(1);
      decodeAll(one);
      for (int threads : new int[] {2, 4}) {
        Threads.use(threads);
        try (Problem many = new Problem(9, 7, 3, 128, 64, 0.84, 0.02, 0.001)) {
          decodeAll(many);
          assertThat(many.out.toFloats()).isEqualTo(one.out.toFloats());
          assertThat(many.state.toFloats()).isEqualTo(one.state.toFloats());
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void keepsNotANumberToItsHead() {
    try (Problem clean = new Problem(10, 2, 2, 16, 16, 0.84, 0.02);
        Problem dirty = new Problem(10, 2, 2, 16, 16, 0.84, 0.02)) {
      Problem.head(dirty.k, 1, 0).select(0, 0).accessor().set(3, Double.NaN);
      decodeAll(clean);
      decodeAll(dirty);
      assertThat(dirty.out.select(0, 0).toFloats()).isEqualTo(clean.out.select(0, 0).toFloats());
      assertThat(Problem.head(dirty.out, 1, 1).toFloats())
          .isEqualTo(Problem.head(clean.out, 1, 1).toFloats());
      assertThat(Problem.head(dirty.out, 1, 0).toFloats()).containsOnly(Float.NaN);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Problem p = new Problem(11, 2, 1, 16, 16, 0.84)) {
      FlatMemory.assertFlat("decode", 10_000, () -> decodeAll(p));
    }
  }

  @Test
  void recordedItGivesTheBitsOfTheCall() {
    try (MemoryScope scope = new MemoryScope()) {
      Problem p = new Problem(5, 3, 8, 33, 48, 0.84, 0.003);
      Tensor direct = scope.allocate(DType.F32, p.state.shape());
      direct.copyFrom(p.state);
      Tensor slots = scope.add(Tensor.of(new int[] {2, 0, 1}, 3));
      Tensor weight = scope.allocate(DType.F32, 2 * 48);
      weight.accessor().set(7, 1.5);
      OutputNorm norm = new OutputNorm(weight, 1e-6f, null);
      Tensor q = scope.allocate(DType.F32, 3, 2, 33);
      Tensor k = scope.allocate(DType.F32, 3, 2, 33);
      Tensor v = scope.allocate(DType.F32, 3, 2, 48);
      Tensor out = scope.allocate(DType.F32, 3, 2, 48);
      Tensor expected = scope.allocate(DType.F32, 3, 2, 48);
      Recording step =
          Recording.of(
              () -> attention().decode(q, k, v, p.decay, p.options, p.state, slots, norm, out));
      for (long t = 0; t < 8; t++) {
        q.copyFrom(p.q.select(1, t));
        k.copyFrom(p.k.select(1, t));
        v.copyFrom(p.v.select(1, t));
        attention().decode(q, k, v, p.decay, p.options, direct, slots, norm, expected);
        step.run();
        assertThat(out.toFloats()).isEqualTo(expected.toFloats());
        assertThat(p.state.toFloats()).isEqualTo(direct.toFloats());
      }
      slots.accessor().setLong(1, 3);
      assertThatThrownBy(step::run)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("slots");
      slots.accessor().setLong(1, -1);
      step.run();
      assertThat(out.select(0, 1).toFloats()).containsOnly(0);
      p.close();
      assertThatThrownBy(step::run)
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("closed");
    }
  }
}
