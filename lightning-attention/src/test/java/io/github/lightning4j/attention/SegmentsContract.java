package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Random;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A sequence split into segments, wherever it is split, gives what it gives whole. */
abstract class SegmentsContract {
  abstract Backend backend();

  private LightningAttention attention() {
    return LightningAttention.of(backend());
  }

  private void assertUnsplit(Problem p, boolean withStates, long... tokens) {
    Tensor initial = withStates ? p.initial : null;
    Tensor dFinal = withStates ? p.dFinal : null;
    try (Segmented parts = new Segmented(backend(), p, tokens)) {
      parts.forward(initial).backward(dFinal);
      Prefill whole = p.pass().finalState(p.state);
      if (initial != null) {
        whole.initialState(initial);
      }
      attention().prefill(whole);
      Closeness.assertNmse("out", parts.out, p.out, 1e-12);
      Closeness.assertNmse("final state", parts.last, p.state, 1e-12);
      assertUnsplitGradients(p, whole, dFinal, parts);
    }
  }

  private void assertUnsplitGradients(
      Problem p, Prefill whole, @Nullable Tensor dFinal, Segmented parts) {
    Tensor dq = p.scope.allocate(DType.F32, p.q.shape());
    Tensor dk = p.scope.allocate(DType.F32, p.k.shape());
    Tensor dv = p.scope.allocate(DType.F32, p.v.shape());
    Tensor dInitial = p.scope.allocate(DType.F32, p.initial.shape());
    Tensor dLog = p.scope.allocate(DType.F32, p.decay.heads());
    Gradients gradients = new Gradients(p.dOut).outDq(dq).outDkDv(dk, dv);
    if (dFinal != null) {
      gradients.dFinalState(dFinal);
    }
    attention().backward(whole, gradients.outDInitialState(dInitial).outDLogDecay(dLog));
    Closeness.assertNmse("dq", parts.dq, dq, 1e-12);
    Closeness.assertNmse("dk", parts.dk, dk, 1e-12);
    Closeness.assertNmse("dv", parts.dv, dv, 1e-12);
    Closeness.assertNmse("dInitial", parts.dInitial, dInitial, 1e-12);
    Closeness.assertNmse("dLogDecay", parts.dLogDecay, dLog.toDoubles(), 1e-10);
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void equalTheUnsplitSequence(boolean withStates) {
    try (Problem p = new Problem(1, 2, 150, 17, 24, new Options(0.5f, true), 0.84, 0.003)) {
      assertUnsplit(p, withStates, 150);
      assertUnsplit(p, withStates, 64, 32, 54);
      assertUnsplit(p, withStates, 0, 1, 0, 148, 1, 0);
    }
  }

  @Test
  void equalTheUnsplitSequenceForRandomLengths() {
    Random random = new Random(2);
    for (int round = 0; round < 20; round++) {
      long[] tokens = new long[1 + random.nextInt(7)];
      int total = 0;
      for (int r = 0; r < tokens.length; r++) {
        tokens[r] = random.nextInt(4) == 0 ? 0 : random.nextInt(80);
        total += (int) tokens[r];
      }
      try (Problem p = new Problem(round, 2, total, 9, 16, 0.84, 0.02, 0.0)) {
        assertUnsplit(p, round % 2 == 0, tokens);
      }
    }
  }

  @Test
  void followTheirFormula() {
    double[] slopes = {0.84, 0.003, 0.0};
    long[] tokens = {3, 0, 70};
    try (Problem p = new Problem(3, 2, 0, 5, 7, slopes)) {
      Tensor local = p.scope.add(Cases.normal(4, DType.F32, 3, 2, 3, 5, 7));
      Tensor entering = p.scope.allocate(DType.F32, 3, 2, 3, 5, 7);
      Tensor last = p.scope.allocate(DType.F32, 2, 3, 5, 7);
      Segments.of(backend()).enteringStates(local, tokens, p.decay, p.initial, entering, last);
      assertChain(p, local, tokens, entering, last, new int[] {0, 1, 2});
      Segments.of(backend()).leavingAdjoints(local, tokens, p.decay, p.initial, entering, last);
      assertChain(p, local, tokens, entering, last, new int[] {2, 1, 0});
      Segments.of(backend()).enteringStates(local, tokens, p.decay, null, entering, null);
      assertThat(entering.select(0, 0).toFloats()).containsOnly(0f);
      Closeness.assertNmse("second", entering.select(0, 1), local.select(0, 0), 1e-14);
    }
  }

  private static void assertChain(
      Problem p, Tensor local, long[] tokens, Tensor passed, Tensor last, int[] order) {
    double[] state = p.initial.toDoubles();
    int size = state.length / 6;
    for (int segment : order) {
      Closeness.assertNmse(
          "segment " + segment, passed.select(0, segment).toDoubles(), state, 1e-13);
      double[] made = local.select(0, segment).toDoubles();
      for (int i = 0; i < state.length; i++) {
        double log = p.decay.logDecay(i / size % 3);
        state[i] = Math.exp(log * tokens[segment]) * state[i] + made[i];
      }
    }
    Closeness.assertNmse("last", last.toDoubles(), state, 1e-13);
  }

  @Test
  void ofWhichThereAreNoneHandTheStateOn() {
    try (Problem p = new Problem(5, 1, 0, 4, 4, 0.3)) {
      Tensor none = p.scope.allocate(DType.F32, 0, 1, 1, 4, 4);
      Tensor also = p.scope.allocate(DType.F32, 0, 1, 1, 4, 4);
      Segments.of(backend()).enteringStates(none, new long[0], p.decay, p.initial, also, p.dFinal);
      assertThat(p.dFinal.toFloats()).isEqualTo(p.initial.toFloats());
    }
  }

  @Test
  void leaveNoMemoryBehind() {
    try (Problem p = new Problem(6, 1, 0, 4, 4, 0.3)) {
      Tensor local = p.scope.allocate(DType.F32, 3, 1, 1, 4, 4);
      Tensor entering = p.scope.allocate(DType.F32, 3, 1, 1, 4, 4);
      Segments segments = Segments.of(backend());
      long[] tokens = {3, 4, 5};
      FlatMemory.assertFlat(
          "segments",
          10_000,
          () -> segments.enteringStates(local, tokens, p.decay, p.initial, entering, p.dFinal));
    }
  }
}
