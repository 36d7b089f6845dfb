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

  @Test
  void countsInBytesWhereTypesDiffer() {
    try (Tensor wide = Tensor.allocate(DType.F32, 4, 16)) {
      // Rows of 16 floats: eight of them, and the place of the other eight as 16 halves.
      Tensor floats = wide.narrow(1, 0, 8);
      try (Tensor halves = Tensor.wrap(wide.pointer(), DType.BF16, 4, 32)) {
        assertThat(Overlap.possible(floats, halves.narrow(1, 16, 16))).isFalse();
        assertThat(Overlap.possible(halves.narrow(1, 16, 16), floats)).isFalse();
        assertThat(Overlap.possible(floats, halves.narrow(1, 15, 1))).isTrue();
        assertThat(Overlap.possible(halves.narrow(1, 8, 8), floats)).isTrue();
      }
    }
  }
}
