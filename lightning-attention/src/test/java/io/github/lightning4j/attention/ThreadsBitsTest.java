package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Native results are the same bits for any number of threads, also where a head has several of
 * them: slices of its value columns, segments of its tokens.
 */
final class ThreadsBitsTest {
  private static final int[] THREADS = {2, 3, 8, 16};

  /** More than four segments, the last of them ragged. */
  private static final int TOKENS = 9000;

  private final int before = Threads.count();
  private final LightningAttention attention = LightningAttention.of(Backend.CPU);

  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @AfterEach
  void restore() {
    Threads.use(before);
  }

  /** Runs with one thread, then with more, and compares all that came out. */
  private static void assertSame(Supplier<List<Tensor>> run) {
    Threads.use(1);
    List<float[]> one = new ArrayList<>();
    for (Tensor tensor : run.get()) {
      one.add(tensor.toFloats());
    }
    for (int threads : THREADS) {
      Threads.use(threads);
      List<Tensor> many = run.get();
      for (int i = 0; i < one.size(); i++) {
        assertThat(many.get(i).toFloats())
            .as("result %s with %s threads", i, threads)
            .isEqualTo(one.get(i));
      }
    }
  }

  @ParameterizedTest
  @CsvSource({"16, 40", "40, 64", "24, 128", "128, 40"})
  void prefillOfOneHead(int dk, int dv) {
    try (Problem p = new Problem(dk + dv, 1, TOKENS, dk, dv, 0.003)) {
      assertSame(
          () -> {
            attention.prefill(p.pass().initialState(p.initial).finalState(p.state));
            return List.of(p.out, p.state);
          });
      assertSame(
          () -> {
            attention.prefill(p.pass().finalState(p.state));
            return List.of(p.out, p.state);
          });
    }
  }

  @ParameterizedTest
  @CsvSource({"1000, 0", "1024, 0", "777, 300", "5, 3"})
  void snapshotsOfOneHead(int every, long position) {
    try (Problem p = new Problem(every, 1, TOKENS, 16, 64, 0.003)) {
      long count = Prefill.snapshotCount(position, TOKENS, every);
      Tensor taken = p.scope.allocate(DType.F32, count, 1, 16, 64);
      assertSame(
          () -> {
            attention.prefill(
                p.pass()
                    .initialState(p.initial)
                    .finalState(p.state)
                    .snapshots(every, taken, position));
            return List.of(p.out, p.state, taken);
          });
    }
  }

  @Test
  void moreSegmentsThanAreUnderWayAtOnce() {
    long tokens = 9 * 2048 + 5; // two threads take eight segments at a time, see SplitTest
    try (Problem p = new Problem(2, 1, tokens, 8, 40, 0.0003)) {
      Tensor taken = p.scope.allocate(DType.F32, 6, 1, 8, 40);
      for (Tensor initial : new Tensor[] {p.initial, null}) {
        assertSame(
            () -> {
              Prefill pass = p.pass().finalState(p.state).snapshots(3000, taken);
              attention.prefill(initial == null ? pass : pass.initialState(initial));
              return List.of(p.out, p.state, taken);
            });
      }
    }
  }

  @Test
  void longAndShortSequencesPacked() {
    try (Problem p = new Problem(1, 1, 4500 + 10 + 6200, 32, 64, 0.003)) {
      Tensor offsets = p.scope.add(Tensor.of(new int[] {0, 4500, 4510, 10710}, 4));
      Tensor states = p.scope.allocate(DType.F32, 3, 1, 32, 64);
      Tensor taken = p.scope.allocate(DType.F32, 4 + 0 + 6, 1, 32, 64);
      assertSame(
          () -> {
            attention.prefill(p.pass().packed(offsets).finalState(states).snapshots(1000, taken));
            return List.of(p.out, states, taken);
          });
    }
  }

  @ParameterizedTest
  @CsvSource({"16, 40, true", "40, 64, false", "24, 128, true", "128, 40, true"})
  void backwardOfOneHead(int dk, int dv, boolean withStates) {
    try (Problem p = new Problem(dk + dv, 1, TOKENS, dk, dv, 0.003);
        MemoryScope scope = new MemoryScope()) {
      Tensor dq = scope.allocate(DType.F32, p.q.shape());
      Tensor dk1 = scope.allocate(DType.F32, p.k.shape());
      Tensor dv1 = scope.allocate(DType.F32, p.v.shape());
      Tensor dInitial = scope.allocate(DType.F32, p.initial.shape());
      Tensor dLog = scope.allocate(DType.F32, 1);
      Gradients gradients =
          new Gradients(p.dOut)
              .outDq(dq)
              .outDkDv(dk1, dv1)
              .outDInitialState(dInitial)
              .outDLogDecay(dLog);
      Prefill forward = p.pass();
      if (withStates) {
        forward.initialState(p.initial);
        gradients.dFinalState(p.dFinal);
      }
      assertSame(
          () -> {
            attention.backward(forward, gradients);
            return List.of(dq, dk1, dv1, dInitial, dLog);
          });
    }
  }

  @Test
  void partsOfTheBackwardPass() {
    try (Problem p = new Problem(3, 1, TOKENS, 24, 40, 0.003);
        MemoryScope scope = new MemoryScope()) {
      Tensor dq = scope.allocate(DType.F32, p.q.shape());
      Tensor dk = scope.allocate(DType.F32, p.k.shape());
      Tensor dv = scope.allocate(DType.F32, p.v.shape());
      Tensor dInitial = scope.allocate(DType.F32, p.initial.shape());
      Prefill forward = p.pass().initialState(p.initial);
      assertSame(
          () -> {
            attention.backward(forward, new Gradients(p.dOut).outDq(dq));
            attention.backward(forward, new Gradients(p.dOut).outDkDv(dk, dv));
            attention.backward(forward, new Gradients(p.dOut).outDInitialState(dInitial));
            return List.of(dq, dk, dv, dInitial);
          });
    }
  }

  @Test
  void advanceLeavesWhatPrefillLeaves() {
    try (Problem p = new Problem(4, 1, TOKENS, 24, 128, 0.003)) {
      Tensor moved = p.scope.allocate(DType.F32, p.state.shape());
      assertSame(
          () -> {
            p.state.copyFrom(p.initial);
            moved.copyFrom(p.initial);
            p.prefill(attention);
            attention.advance(p.k, p.v, p.decay, p.options, moved, null, null);
            assertThat(moved.toFloats()).isEqualTo(p.state.toFloats());
            return List.of(moved);
          });
    }
  }

  @Test
  void normOnTheWayOut() {
    try (Problem p = new Problem(5, 1, TOKENS, 24, 64, 0.003)) {
      Tensor weight = p.scope.add(Cases.normal(6, DType.F32, 64));
      assertSame(
          () -> {
            attention.prefill(
                p.pass().finalState(p.state).norm(new OutputNorm(weight, 1e-6f, null)));
            return List.of(p.out, p.state);
          });
    }
  }
}
