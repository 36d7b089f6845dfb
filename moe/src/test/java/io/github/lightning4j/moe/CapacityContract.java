package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.Gradients;
import io.github.lightning4j.moe.Capacity.Priority;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link MixtureOfExperts} must do over a plan that drops. */
abstract class CapacityContract {
  abstract MixtureOfExperts experts();

  @ParameterizedTest
  @EnumSource
  void forwardLeavesOutWhatIsDropped(Priority priority) {
    for (int tokens : MixtureOfExpertsContract.TOKENS) {
      for (double factor : new double[] {0.3, 0.8, 1.2}) {
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
          try (Mixture mixture = new Mixture(tokens, 33, 24, 4, 2, dtype);
              MoeWorkspace workspace = new MoeWorkspace()) {
            DispatchPlan plan = workspace.plan();
            plan.build(mixture.index, 4, new Capacity(factor, priority, 0), mixture.weight);
            forward(mixture, plan, workspace);
            double[] shares = masked(plan, mixture.weight.toDoubles());
            double[] truth =
                mixture.truth(mixture.x.toDoubles(), shares, Mixture.doubles(mixture.weights));
            String what = String.format("%s %s T=%d factor=%s", dtype, priority, tokens, factor);
            Closeness.assertNmse(what, mixture.out.toDoubles(), truth, 1e-10);
          }
        }
      }
    }
  }

  @Test
  void tokensThatLostEverythingGetZerosWhateverTheyHold() {
    try (Mixture mixture = new Mixture(3, 24, 33, 2, 1, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      for (int t = 0; t < 3; t++) {
        mixture.choose(t, 0, 1, 0.5);
      }
      mixture.x.accessor().set(2 * 24 + 7, Double.NaN);
      DispatchPlan plan = new DispatchPlan();
      plan.build(mixture.index, new int[] {0, 2}, Priority.POSITION, mixture.weight);
      MixtureGradients got = new MixtureGradients(mixture);
      forward(mixture, plan, workspace);
      backward(mixture, plan, got);
      for (Tensor out : new Tensor[] {mixture.out, got.dx}) {
        assertThat(out.select(0, 2).toFloats()).containsOnly(0);
        assertThat(out.narrow(0, 0, 2).toFloats()).doesNotContain(0, Float.NaN);
      }
      assertThat(got.dWeight.toFloats()[2]).isZero();
      assertThat(got.dGate.get(1).toFloats()).doesNotContain(Float.NaN);
    }
  }

  @Test
  void allTokensMayLoseEverything() {
    try (Mixture mixture = new Mixture(40, 9, 6, 2, 2, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(mixture.index, new int[2], Priority.WEIGHT, mixture.weight);
      MixtureGradients got = new MixtureGradients(mixture);
      forward(mixture, plan, workspace);
      backward(mixture, plan, got);
      assertThat(mixture.out.toFloats()).containsOnly(0);
      assertThat(got.dx.toFloats()).containsOnly(0);
      assertThat(got.dWeight.toFloats()).containsOnly(0);
      assertThat(got.dDown.get(1).toFloats()).containsOnly(0);
    }
  }

  @ParameterizedTest
  @EnumSource
  void gradientsAreTheSlopesOfTheForward(Priority priority) {
    try (Mixture mixture = new Mixture(7, 5, 6, 3, 2, DType.F32)) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(mixture.index, 3, new Capacity(0.5, priority, 0), mixture.weight);
      assertThat(plan.kept()).isBetween(6, 9);
      MixtureGradients got = new MixtureGradients(mixture);
      backward(mixture, plan, got);
      double[] d = got.dOut.toDoubles();
      double[] x = mixture.x.toDoubles();
      double[] shares = mixture.weight.toDoubles();
      double[][][] w = Mixture.doubles(mixture.weights);
      Gradients.assertMatches(
          "dx",
          v -> along(d, mixture.truth(v, masked(plan, shares), w)),
          x,
          got.dx.toDoubles(),
          35,
          1e-5);
      Gradients.assertMatches(
          "dweight",
          v -> along(d, mixture.truth(x, masked(plan, v), w)),
          shares,
          got.dWeight.toDoubles(),
          14,
          1e-5);
      Gradients.assertMatches(
          "dw2 of expert 1",
          v -> {
            double[][][] changed = {w[0], w[1], {w[2][0], v, w[2][2]}};
            return along(d, mixture.truth(x, masked(plan, shares), changed));
          },
          w[2][1],
          got.dDown.get(1).toDoubles(),
          30,
          1e-5);
      Gradients.assertMatches(
          "dw1 of expert 2",
          v -> {
            double[][][] changed = {{w[0][0], w[0][1], v}, w[1], w[2]};
            return along(d, mixture.truth(x, masked(plan, shares), changed));
          },
          w[0][2],
          got.dGate.get(2).toDoubles(),
          30,
          1e-5);
    }
  }

  @Test
  void gradientsAgreeWithTheReference() {
    for (int tokens : new int[] {1, 9, 40, 129}) {
      try (Mixture mixture = new Mixture(tokens, 33, 24, 4, 2, DType.BF16)) {
        DispatchPlan plan = new DispatchPlan();
        plan.build(mixture.index, 4, Capacity.ofFactor(0.7), mixture.weight);
        MixtureGradients got = new MixtureGradients(mixture);
        MixtureGradients expected = new MixtureGradients(mixture);
        backward(mixture, plan, got);
        run(MixtureOfExperts.of(Backend.REFERENCE), mixture, plan, expected);
        Closeness.assertNmse("dx", got.dx, expected.dx, 1e-10);
        Closeness.assertNmse("dweight", got.dWeight, expected.dWeight, 1e-10);
        for (int e = 0; e < 4; e++) {
          Closeness.assertNmse("dw1", got.dGate.get(e), expected.dGate.get(e), 1e-10);
          Closeness.assertNmse("dw3", got.dUp.get(e), expected.dUp.get(e), 1e-10);
          Closeness.assertNmse("dw2", got.dDown.get(e), expected.dDown.get(e), 1e-10);
        }
      }
    }
  }

  @Test
  void withRoomForAllIsTheMixtureWithoutCapacity() {
    try (Mixture mixture = new Mixture(65, 33, 24, 4, 2, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace()) {
      float[] plain = mixture.run(experts(), workspace);
      DispatchPlan plan = new DispatchPlan();
      plan.build(mixture.index, 4, Capacity.ofFactor(4), mixture.weight);
      forward(mixture, plan, workspace);
      assertThat(mixture.out.toFloats()).isEqualTo(plain);
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Mixture mixture = new Mixture(65, 195, 213, 4, 2, DType.BF16);
        MoeWorkspace workspace = new MoeWorkspace()) {
      DispatchPlan plan = new DispatchPlan();
      plan.build(mixture.index, new int[] {30, 12, 0, 17}, Priority.WEIGHT, mixture.weight);
      Threads.use(1);
      forward(mixture, plan, workspace);
      float[] one = mixture.out.toFloats();
      Threads.use(4);
      forward(mixture, plan, workspace);
      assertThat(mixture.out.toFloats()).isEqualTo(one);
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void refusesAPlanOfAnotherBatch() {
    try (Mixture mixture = new Mixture(3, 6, 5, 3, 2, DType.F32)) {
      DispatchPlan plan = new DispatchPlan();
      refused("plan: expected 3 tokens and 3 experts, got 0 and 0; build it", mixture, plan);
      plan.build(mixture.index, 4);
      refused("plan: expected 3 tokens and 3 experts, got 3 and 4; build it", mixture, plan);
      plan.build(mixture.index.narrow(0, 0, 2), 3);
      refused("plan: expected 3 tokens and 3 experts, got 2 and 3; build it", mixture, plan);
      plan.build(mixture.index.narrow(1, 0, 1), 3);
      refused("weight: expected shape [3, 1], got [3, 2]", mixture, plan);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (Mixture mixture = new Mixture(4, 5, 3, 2, 1, DType.F32);
        MoeWorkspace workspace = new MoeWorkspace()) {
      MixtureGradients gradients = new MixtureGradients(mixture);
      FlatMemory.assertFlat(
          "capacity",
          10_000,
          () -> {
            DispatchPlan plan = workspace.plan();
            plan.build(mixture.index, 2, Capacity.ofFactor(0.5), mixture.weight);
            forward(mixture, plan, workspace);
            backward(mixture, plan, gradients);
          });
    }
  }

  private void refused(String message, Mixture mixture, DispatchPlan plan) {
    MixtureGradients gradients = new MixtureGradients(mixture);
    try (MoeWorkspace workspace = new MoeWorkspace()) {
      assertThatThrownBy(() -> forward(mixture, plan, workspace))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageStartingWith(message);
    }
    assertThatThrownBy(() -> backward(mixture, plan, gradients))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageStartingWith(message);
  }

  private void forward(Mixture mixture, DispatchPlan plan, MoeWorkspace workspace) {
    experts().forward(mixture.x, mixture.weights, plan, mixture.weight, workspace, mixture.out);
  }

  private void backward(Mixture mixture, DispatchPlan plan, MixtureGradients into) {
    run(experts(), mixture, plan, into);
  }

  private static void run(
      MixtureOfExperts experts, Mixture mixture, DispatchPlan plan, MixtureGradients into) {
    experts.backward(
        mixture.x,
        mixture.weights,
        plan,
        mixture.weight,
        into.dOut,
        into.dx,
        into.dWeight,
        into.dGate,
        into.dUp,
        into.dDown);
  }

  private static double[] masked(DispatchPlan plan, double[] shares) {
    double[] masked = shares.clone();
    for (int pair = 0; pair < masked.length; pair++) {
      masked[pair] = plan.position(pair) < 0 ? 0 : masked[pair];
    }
    return masked;
  }

  private static double along(double[] d, double[] out) {
    double sum = 0;
    for (int i = 0; i < d.length; i++) {
      sum += d[i] * out[i];
    }
    return sum;
  }
}
