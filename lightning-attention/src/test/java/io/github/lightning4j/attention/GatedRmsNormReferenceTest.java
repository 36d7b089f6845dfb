package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.testkit.Closeness;
import org.junit.jupiter.api.Test;

final class GatedRmsNormReferenceTest extends GatedRmsNormContract {
  @Override
  GatedRmsNorm norm() {
    return GatedRmsNorm.of(Backend.REFERENCE);
  }

  @Test
  void takesDoublesBesideSinglesAndNoOthers() {
    NormTypes types = new NormTypes(DType.F64, DType.F32, DType.BF16, DType.F64);
    try (NormCall call = new NormCall(1, types, 4, 8)) {
      call.apply(norm());
      double[] exact = NormFormula.exact().out(call.x, call.gate, call.weight, NormCall.EPS);
      Closeness.assertNmse("out", call.out.toDoubles(), exact, 1e-28);
      call.backward(norm());
      Closeness.assertNmse("dx", call.outDx.toDoubles(), call.exact().dx(), 1e-28);
      call.gate = call.scope.allocate(DType.BF16, 4, 8);
      assertThatThrownBy(() -> call.apply(norm()))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("gate: expected dtype F64 as x has, or F32, got BF16");
    }
  }
}
