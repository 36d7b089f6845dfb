package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import org.junit.jupiter.api.Test;

final class OverlapTest {
  @Test
  void tellsInterleavedViewsFromSharedMemory() {
    try (Tensor fused = Tensor.allocate(DType.F32, 2, 5, 3, 12)) {
      Tensor q = fused.narrow(3, 0, 4);
      assertThat(Overlap.possible(q, fused.narrow(3, 4, 4))).isFalse();
      assertThat(Overlap.possible(fused.narrow(3, 8, 4), q)).isFalse();
      assertThat(Overlap.possible(q, fused.narrow(3, 3, 4))).isTrue();
      assertThat(Overlap.possible(fused.narrow(3, 3, 4), q)).isTrue();
      assertThat(Overlap.possible(q, q)).isTrue();
      assertThat(Overlap.possible(q, fused)).isTrue();
    }
  }

  @Test
  void tellsPlanesOfHeadsApart() {
    // [B, T, 3, H, D]: all q, then all k, then all v of a token
    try (Tensor fused = Tensor.allocate(DType.F32, 2, 5, 3, 4, 8)) {
      Tensor q = fused.select(2, 0);
      assertThat(Overlap.possible(q, fused.select(2, 1))).isFalse();
      assertThat(Overlap.possible(fused.select(2, 2), q)).isFalse();
      assertThat(Overlap.possible(q, fused.select(2, 0).narrow(2, 3, 1))).isTrue();
    }
  }

  @Test
  void knowsSeparateAndEmptyMemory() {
    try (Tensor a = Tensor.allocate(DType.F32, 8);
        Tensor b = Tensor.allocate(DType.F32, 8)) {
      assertThat(Overlap.possible(a, b)).isFalse();
      assertThat(Overlap.possible(a.narrow(0, 0, 4), a.narrow(0, 4, 4))).isFalse();
      assertThat(Overlap.possible(a.narrow(0, 0, 5), a.narrow(0, 4, 4))).isTrue();
      assertThat(Overlap.possible(a, a.narrow(0, 4, 0))).isFalse();
    }
  }
}
