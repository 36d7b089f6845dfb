package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import io.github.lightning4j.core.testkit.Gradients;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What every implementation of {@link MixtureOfExperts#backward} must do. */
abstract class MixtureGradientsContract {
  abstract MixtureOfExperts experts();

  @Test
  void areTheSlopesOfTheForward() {
    try (Mixture mixture = new Mixture(6, 5, 7, 3, 2, DType.F32)) {
      MixtureGradients got = new MixtureGradients(mixture, experts());
      double[] d = got.dOut.toDoubles();
      double[] x = mixture.x.toDoubles();
      double[] shares = mixture.weight.toDoubles();
      double[][][] w = Mixture.doubles(mixture.weights);
      Gradients.assertMatches(
          "dx", v -> along(d, mixture.truth(v, shares, w)), x, got.dx.toDoubles(), 30, 1e-5);
      Gradients.assertMatches(
          "dweight",
          v -> along(d, mixture.truth(x, v, w)),
          shares,
          got.dWeight.toDoubles(),
          12,
          1e-5);
      List<List<Tensor>> weightGradients = List.of(got.dGate, got.dUp, got.dDown);
      for (int which = 0; which < 3; which++) {
        for (int e = 0; e < 3; e++) {
          int expert = e;
          double[][] role = w[which];
          double[] point = role[e].clone();
          Gradients.assertMatches(
              "dw " + which + " of expert " + e,
              v -> {
                System.arraycopy(v, 0, role[expert], 0, v.length);
                double value = along(d, mixture.truth(x, shares, w));
                System.arraycopy(point, 0, role[expert], 0, v.length);
                return value;
              },
              point,
              weightGradients.get(which).get(e).toDoubles(),
              35,
              1e-5);
        }
      }
    }
  }

  private static double along(double[] d, double[] out) {
    double sum = 0;
    for (int i = 0; i < d.length; i++) {
      sum += d[i] * out[i];
    }
    return sum;
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void agreeWithTheReferenceOverAwkwardSizes(DType dtype) {
    for (int tokens : MixtureOfExpertsContract.TOKENS) {
      check(tokens, 33, 24, 4, 2, dtype);
    }
    for (int hidden : MixtureOfExpertsContract.WIDTHS) {
      for (int inner : MixtureOfExpertsContract.WIDTHS) {
        check(5, hidden, inner, 2, 1, dtype);
      }
    }
    check(9, 24, 33, 32, 32, dtype);
    check(20, 24, 33, 32, 1, dtype);
  }

  private void check(int tokens, int hidden, int inner, int experts, int k, DType dtype) {
    try (Mixture mixture = new Mixture(tokens, hidden, inner, experts, k, dtype)) {
      MixtureGradients got = new MixtureGradients(mixture, experts());
      MixtureGradients expected =
          new MixtureGradients(mixture, MixtureOfExperts.of(Backend.REFERENCE));
      String what = String.format("%s T=%d H=%d I=%d ", dtype, tokens, hidden, inner);
      Closeness.assertNmse(what + "dx", got.dx, expected.dx, 1e-10);
      Closeness.assertNmse(what + "dweight", got.dWeight, expected.dWeight, 1e-10);
      for (int e = 0; e < experts; e++) {
        Closeness.assertNmse(what + "dw1", got.dGate.get(e), expected.dGate.get(e), 1e-10);
        Closeness.assertNmse(what + "dw3", got.dUp.get(e), expected.dUp.get(e), 1e-10);
        Closeness.assertNmse(what + "dw2", got.dDown.get(e), expected.dDown.get(e), 1e-10);
      }
    }
  }

  @Test
  void areZeroForExpertsWithoutTokens() {
    try (Mixture mixture = new Mixture(5, 9, 6, 3, 1, DType.F32)) {
      for (int t = 0; t < 5; t++) {
        mixture.choose(t, 0, 1, 1);
      }
      MixtureGradients got = new MixtureGradients(mixture, experts());
      for (int idle : new int[] {0, 2}) {
        assertThat(got.dGate.get(idle).toFloats()).containsOnly(0);
        assertThat(got.dUp.get(idle).toFloats()).containsOnly(0);
        assertThat(got.dDown.get(idle).toFloats()).containsOnly(0);
      }
      assertThat(got.dGate.get(1).toFloats()).doesNotContain(0);
    }
  }

  @Test
  void areZeroForNoTokens() {
    try (Mixture mixture = new Mixture(0, 9, 6, 2, 1, DType.F32)) {
      MixtureGradients got = new MixtureGradients(mixture, experts());
      for (int e = 0; e < 2; e++) {
        assertThat(got.dGate.get(e).toFloats()).containsOnly(0);
        assertThat(got.dUp.get(e).toFloats()).containsOnly(0);
        assertThat(got.dDown.get(e).toFloats()).containsOnly(0);
      }
    }
  }

  @Test
  void areTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Mixture mixture = new Mixture(65, 195, 213, 4, 2, DType.BF16)) {
      Threads.use(1);
      MixtureGradients one = new MixtureGradients(mixture, experts());
      for (int threads : new int[] {2, 4}) {
        Threads.use(threads);
        MixtureGradients more = new MixtureGradients(mixture, experts());
        assertThat(more.dx.toFloats()).isEqualTo(one.dx.toFloats());
        assertThat(more.dWeight.toFloats()).isEqualTo(one.dWeight.toFloats());
        for (int e = 0; e < 4; e++) {
          assertThat(more.dGate.get(e).toFloats()).isEqualTo(one.dGate.get(e).toFloats());
          assertThat(more.dUp.get(e).toFloats()).isEqualTo(one.dUp.get(e).toFloats());
          assertThat(more.dDown.get(e).toFloats()).isEqualTo(one.dDown.get(e).toFloats());
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void leaveNoMemoryBehind() {
    try (Mixture mixture = new Mixture(2, 5, 3, 2, 1, DType.F32)) {
      MixtureGradients gradients = new MixtureGradients(mixture, experts());
      FlatMemory.assertFlat("backward", 10_000, () -> gradients.run(mixture, experts()));
    }
  }
}
