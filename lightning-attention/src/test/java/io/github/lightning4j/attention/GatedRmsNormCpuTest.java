package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

final class GatedRmsNormCpuTest extends GatedRmsNormContract {
  @BeforeEach
  void needsNativeLibrary() {
    NativeKernels.assume();
  }

  @Override
  GatedRmsNorm norm() {
    return GatedRmsNorm.of(Backend.CPU);
  }

  @Test
  void refusesDoubles() {
    try (NormCall call = new NormCall(1, NormTypes.of(DType.F32), 4, 8)) {
      call.x = call.scope.allocate(DType.F64, 4, 8);
      assertThatThrownBy(() -> call.apply(norm()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("x: expected dtype in [F32, F16, BF16], got F64");
      assertThatThrownBy(() -> call.backward(norm()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("x: expected dtype in [F32, F16, BF16], got F64");
    }
  }

  @Test
  void refusesAWeightGradientOfDoubles() {
    try (NormCall call = new NormCall(1, NormTypes.of(DType.F32), 4, 8)) {
      call.outDWeight = call.scope.allocate(DType.F64, 8);
      assertThatThrownBy(() -> call.backward(norm()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("outDWeight: expected dtype F32, got F64");
    }
  }
}
