package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link SharedExpert} must do. */
abstract class SharedExpertContract {
  abstract SharedExpert sharedExpert();

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreesWithDoubles(DType dtype) {
    for (int tokens : MixtureOfExpertsContract.TOKENS) {
      check(tokens, 33, 24, dtype);
    }
    for (int hidden : MixtureOfExpertsContract.WIDTHS) {
      for (int inner : MixtureOfExpertsContract.WIDTHS) {
        check(3, hidden, inner, dtype);
      }
    }
  }

  private void check(int tokens, int hidden, int inner, DType dtype) {
    try (Shared shared = new Shared(tokens, hidden, inner, dtype);
        MoeWorkspace workspace = new MoeWorkspace()) {
      double[] expected = shared.truth();
      sharedExpert().combine(shared.one.x, shared.weights, workspace, shared.moe);
      String what = String.format("%s T=%d H=%d I=%d", dtype, tokens, hidden, inner);
      Closeness.assertNmse(what, shared.moe.toDoubles(), expected, 1e-10);
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Shared shared = new Shared(65, 195, 213, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace();
        Tensor start = Tensor.of(shared.moe.toFloats(), 65, 195)) {
      Threads.use(1);
      sharedExpert().combine(shared.one.x, shared.weights, workspace, shared.moe);
      float[] one = shared.moe.toFloats();
      for (int threads : new int[] {2, 4}) {
        Threads.use(threads);
        shared.moe.copyFrom(start);
        sharedExpert().combine(shared.one.x, shared.weights, workspace, shared.moe);
        assertThat(shared.moe.toFloats()).isEqualTo(one);
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void takesNoTokens() {
    try (Shared shared = new Shared(0, 8, 8, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      sharedExpert().combine(shared.one.x, shared.weights, workspace, shared.moe);
      assertThat(shared.moe.toFloats()).isEmpty();
    }
  }

  @Test
  void keepsTheDispatchOfTheMixture() {
    try (Shared shared = new Shared(3, 8, 8, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      shared.one.run(MixtureOfExperts.best(), workspace);
      sharedExpert().combine(shared.one.x, shared.weights, workspace, shared.moe);
      assertThat(workspace.plan().tokens()).isEqualTo(3);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Shared shared = new Shared(2, 9, 5, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace()) {
      FlatMemory.assertFlat(
          "shared expert",
          10_000,
          () -> sharedExpert().combine(shared.one.x, shared.weights, workspace, shared.moe));
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (Shared shared = new Shared(2, 9, 5, DType.F32)) {
      MoeWorkspace workspace = new MoeWorkspace();
      Tensor x = shared.one.x;
      SharedWeights weights = shared.weights;
      refused(
          "x: expected shape [2, 9], got [2, 8]",
          () -> sharedExpert().combine(x.narrow(1, 0, 8), weights, workspace, shared.moe));
      refused(
          "moeInOut: expected shape [2, 9], got [1, 9]",
          () -> sharedExpert().combine(x, weights, workspace, shared.moe.narrow(0, 0, 1)));
      refused(
          "moeInOut: must not overlap x", () -> sharedExpert().combine(x, weights, workspace, x));
      refused(
          "coefficient: expected shape [1, 9], got [2, 9]",
          () -> new SharedWeights(weights.gate(), weights.up(), weights.down(), x));
      workspace.close();
      assertThatThrownBy(() -> sharedExpert().combine(x, weights, workspace, shared.moe))
          .isInstanceOf(IllegalStateException.class)
          .hasMessage("workspace is closed");
    }
  }

  private static void refused(String message, ThrowingCallable call) {
    assertThatThrownBy(call)
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }

  /** A shared expert is a mixture of one, and a coefficient. */
  private static final class Shared implements AutoCloseable {
    final Mixture one;
    final SharedWeights weights;
    final Tensor moe;

    Shared(int tokens, int hidden, int inner, DType dtype) {
      one = new Mixture(tokens, hidden, inner, 1, 1, dtype);
      moe = one.normal(DType.F32, 1, tokens, hidden);
      weights =
          new SharedWeights(
              one.weights.gate().get(0),
              one.weights.up().get(0),
              one.weights.down().get(0),
              one.normal(dtype, 1 / Math.sqrt(hidden), 1, hidden));
    }

    double[] truth() {
      double[] answer = one.truth();
      double[] mixed = moe.toDoubles();
      double[] x = one.x.toDoubles();
      double[] coefficient = weights.coefficient().toDoubles();
      for (int t = 0; t < one.tokens; t++) {
        double along = 0;
        for (int h = 0; h < one.hidden; h++) {
          along += x[t * one.hidden + h] * coefficient[h];
        }
        double c = 1 / (1 + Math.exp(-along));
        for (int i = t * one.hidden; i < (t + 1) * one.hidden; i++) {
          mixed[i] = mixed[i] * (1 - c) + answer[i] * c;
        }
      }
      return mixed;
    }

    @Override
    public void close() {
      one.close();
    }
  }
}
