package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** What every implementation of {@link GatedRmsNorm#backward} must do. */
abstract class GatedRmsNormBackwardContract {
  private static final NormTypes SMALL =
      new NormTypes(DType.BF16, DType.BF16, DType.F32, DType.BF16);

  abstract GatedRmsNorm norm();

  static List<NormTypes> mixes() {
    return NormTypes.mixes();
  }

  @ParameterizedTest
  @MethodSource("mixes")
  void agreesWithTheFormulaOverAwkwardSizes(NormTypes types) {
    for (int n : NormTypes.sizes()) {
      try (NormCall call = new NormCall(n, types, 3, n)) {
        call.backward(norm());
        call.assertGradients("gated " + n);
        call.assertMargins();
        call.gate = null;
        call.outDGate = null;
        call.backward(norm());
        call.assertGradients("plain " + n);
      }
    }
  }

  @Test
  void agreesWithTheFormulaOverAwkwardNumbersOfRows() {
    NormTypes types = NormTypes.of(DType.F32);
    for (int rows : Cases.AWKWARD) {
      try (NormCall call = new NormCall(rows, types, rows * 17, 5)) {
        call.backward(norm());
        call.assertGradients("rows " + rows * 17);
      }
    }
  }

  @Test
  void sumsTheWeightOverManyRowsWithoutLosingDigits() {
    int rows = 100_000;
    NormTypes types = NormTypes.of(DType.F32);
    try (NormCall call = new NormCall(1, types, rows, 3)) {
      // All terms of one sign and much alike: a sum in fp32 would drift.
      for (int t = 0; t < rows; t++) {
        for (int i = 0; i < 3; i++) {
          call.x.accessor().set(t * call.x.stride(0) + i, 1 + 0.01 * ((t * 7 + i) % 13));
          call.dOut.accessor().set(t * call.dOut.stride(0) + i, 0.3 + 0.01 * ((t * 5 + i) % 11));
        }
      }
      call.backward(norm());
      double[] exact = call.exact().dWeight();
      double[] actual = call.outDWeight.toDoubles();
      for (int i = 0; i < 3; i++) {
        // The rounding of the result itself may be 6e-8.
        assertThat(Math.abs(actual[i] / exact[i] - 1)).isLessThan(1e-7);
      }
    }
  }

  @Test
  void writesOverWhatTheOutputsHeld() {
    try (NormCall call = new NormCall(1, SMALL, 40, 9);
        NormCall used = new NormCall(1, SMALL, 40, 9)) {
      call.backward(norm());
      used.backward(norm());
      used.backward(norm());
      assertThat(used.results()).isEqualTo(call.results());
    }
  }

  @Test
  void leavingOutTheWeightChangesNothingElse() {
    try (NormCall call = new NormCall(1, SMALL, 40, 9);
        NormCall without = new NormCall(1, SMALL, 40, 9)) {
      call.backward(norm());
      without.outDWeight = null;
      without.backward(norm());
      assertThat(without.outDx.toFloats()).isEqualTo(call.outDx.toFloats());
      assertThat(without.outDGate.toFloats()).isEqualTo(call.outDGate.toFloats());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void writesOverTheGradientOfTheOutput(DType type) {
    NormTypes types = new NormTypes(type, type, DType.F32, type);
    try (NormCall call = new NormCall(1, types, 40, 77);
        NormCall over = new NormCall(1, types, 40, 77)) {
      call.backward(norm());
      over.outDx = over.dOut;
      over.backward(norm());
      assertThat(over.results()).isEqualTo(call.results());
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void givesTheSameBitsForAnyNumberOfThreads(DType type) {
    int before = Threads.count();
    NormTypes types = new NormTypes(type, type, DType.BF16, type);
    try (NormCall one = new NormCall(1, types, 3001, 200)) {
      Threads.use(1);
      one.backward(norm());
      for (int threads : new int[] {2, 3, 4}) {
        Threads.use(threads);
        try (NormCall many = new NormCall(1, types, 3001, 200)) {
          many.backward(norm());
          assertThat(Arrays.equals(many.results(), one.results()))
              .as("%s threads", threads)
              .isTrue();
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void keepsNotANumberInItsRow(DType type) {
    try (NormCall call = new NormCall(1, NormTypes.of(type), 20, 40)) {
      call.x.accessor().set(3 * call.x.stride(0) + 5, Double.NaN);
      call.gate.accessor().set(6 * call.gate.stride(0) + 7, Double.NaN);
      call.dOut.accessor().set(9 * call.dOut.stride(0) + 11, Double.NaN);
      call.backward(norm());
      for (int t = 0; t < 20; t++) {
        float[] dx = call.outDx.select(0, t).toFloats();
        float[] dGate = call.outDGate.select(0, t).toFloats();
        if (t == 3 || t == 6 || t == 9) {
          assertThat(dx).containsOnly(Float.NaN);
          assertThat(dGate).contains(Float.NaN);
        } else {
          assertThat(dx).doesNotContain(Float.NaN);
          assertThat(dGate).doesNotContain(Float.NaN);
        }
      }
      assertThat(call.outDWeight.toFloats()).containsOnly(Float.NaN);
    }
  }

  @Test
  void takesGatesThatAreFarOpenOrShut() {
    NormTypes types = NormTypes.of(DType.F32);
    try (NormCall call = new NormCall(1, types, 1, 7)) {
      double[] gates = {-80, -20, 20, -300, 300, -1e30, 1e30};
      for (int i = 0; i < gates.length; i++) {
        call.gate.accessor().set(i, gates[i]);
      }
      call.backward(norm());
      double[] exact = call.exact().dGate();
      double[] actual = call.outDGate.toDoubles();
      for (int i = 0; i < 3; i++) {
        // In fp32 s (1 - s) formed as a difference would have lost all digits at 20.
        assertThat(Math.abs(actual[i] / exact[i] - 1)).as("gate %s", gates[i]).isLessThan(1e-5);
      }
      for (int i = 3; i < 7; i++) {
        assertThat(Math.abs(actual[i])).as("gate %s", gates[i]).isZero();
      }
    }
  }

  @Test
  void givesZerosForNoRows() {
    try (NormCall call = new NormCall(1, SMALL, 0, 9)) {
      call.outDWeight.accessor().set(4, 5);
      call.backward(norm());
      assertThat(call.outDWeight.toFloats()).containsOnly(0);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (NormCall call = new NormCall(1, SMALL, 2, 20)) {
      FlatMemory.assertFlat("norm backward", 10_000, () -> call.backward(norm()));
    }
  }
}
