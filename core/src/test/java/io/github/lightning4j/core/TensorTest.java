package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.FlatMemory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class TensorTest {
  /** 0, 1, 2, ... */
  private static Tensor counting(long... shape) {
    Tensor tensor = Tensor.allocate(DType.I32, shape);
    for (long i = 0; i < tensor.elements(); i++) {
      tensor.accessor().setLong(i, i);
    }
    return tensor;
  }

  @ParameterizedTest
  @EnumSource
  void allocatesZeroedAlignedContiguousMemory(DType dtype) {
    try (Tensor tensor = Tensor.allocate(dtype, 3, 5)) {
      assertThat(tensor.dtype()).isEqualTo(dtype);
      assertThat(tensor.device()).isEqualTo(Device.CPU);
      assertThat(tensor.rank()).isEqualTo(2);
      assertThat(tensor.shape()).containsExactly(3, 5);
      assertThat(tensor.size(-1)).isEqualTo(5);
      assertThat(tensor.stride(0)).isEqualTo(5);
      assertThat(tensor.stride(-1)).isEqualTo(1);
      assertThat(tensor.isContiguous()).isTrue();
      assertThat(tensor.address() % 64).isZero();
      assertThat(tensor.toLongs()).containsOnly(0).hasSize(15);
    }
  }

  @Test
  void copiesArraysIn() {
    try (MemoryScope scope = new MemoryScope()) {
      assertThat(scope.add(Tensor.of(new float[] {1, -2.5f}, 1, 2)).toFloats())
          .containsExactly(1, -2.5f);
      assertThat(scope.add(Tensor.of(new double[] {1e300}, 1)).toDoubles()).containsExactly(1e300);
      assertThat(scope.add(Tensor.of(new int[] {7, Integer.MIN_VALUE}, 2)).toLongs())
          .containsExactly(7, Integer.MIN_VALUE);
      assertThat(scope.add(Tensor.of(new long[] {Long.MAX_VALUE}, 1)).toLongs())
          .containsExactly(Long.MAX_VALUE);
      assertThat(scope.add(Tensor.of(new float[] {3})).rank()).isZero();
      refuses(() -> Tensor.of(new float[5], 2, 3), "values: expected 6 for shape [2, 3], got 5");
    }
  }

  @Test
  void viewsShareTheMemory() {
    try (Tensor tensor = counting(2, 3, 4)) {
      Tensor view = tensor.narrow(1, 1, 2).select(0, 1).narrow(-1, 1, 3);
      assertThat(view.shape()).containsExactly(2, 3);
      assertThat(view.isContiguous()).isFalse();
      assertThat(view.toLongs()).containsExactly(17, 18, 19, 21, 22, 23);
      assertThat(view.toFloats()).containsExactly(17, 18, 19, 21, 22, 23);
      assertThat(view.toDoubles()).containsExactly(17, 18, 19, 21, 22, 23);
      assertThat(view.address()).isEqualTo(tensor.address() + 17 * 4);
      assertThat(view.pointer().limit()).isEqualTo(7 * 4);
      view.accessor().setLong(0, -1);
      assertThat(tensor.toLongs()[17]).isEqualTo(-1);
      assertThat(tensor.reshape(6, 4).select(0, 5).toLongs()).containsExactly(20, 21, 22, 23);
      Tensor transposed = tensor.strided(12, new long[] {4, 3}, new long[] {1, 4});
      assertThat(transposed.select(0, 1).toLongs()).containsExactly(13, -1, 21);
      assertThat(tensor.strided(5, new long[] {3}, new long[] {0}).toLongs())
          .containsExactly(5, 5, 5);
    }
  }

  @Test
  void refusesViewsBeyondTheMemory() {
    try (Tensor tensor = counting(2, 3)) {
      refuses(() -> tensor.narrow(1, 2, 2), "narrow: expected 2 from 2 on within [0, 3)");
      refuses(
          () -> tensor.narrow(1, Long.MAX_VALUE, 1),
          "narrow: expected 1 from " + Long.MAX_VALUE + " on within [0, 3)");
      refuses(() -> tensor.narrow(1, 0, -1), "narrow: expected -1 from 0 on within [0, 3)");
      refuses(() -> tensor.select(0, 2), "select: expected 0 <= 2 < 2");
      refuses(() -> tensor.size(2), "dim: expected one of 2, got 2");
      refuses(() -> tensor.size(-3), "dim: expected one of 2, got -3");
      refuses(() -> tensor.reshape(4), "reshape: expected 6 elements, got [4]");
      assertThatThrownBy(() -> tensor.narrow(1, 0, 2).reshape(4))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageContaining("contiguous");
      refuses(
          () -> tensor.strided(3, new long[] {2, 2}, new long[] {2, 1}),
          "strided: 4 elements from 3 on are outside the 6 that the memory has");
      refuses(
          () -> tensor.strided(Long.MAX_VALUE / 4, new long[] {1}, new long[] {1}),
          "strided: 1 elements from "
              + Long.MAX_VALUE / 4
              + " on are outside the 6 that the"
              + " memory has");
      refuses(
          () -> tensor.strided(5, new long[] {3}, new long[] {-1}),
          "strides: expected >= 0 and a reach below 2^60, got [-1]");
      refuses(
          () -> tensor.strided(0, new long[] {3}, new long[] {Long.MAX_VALUE}),
          "strides: expected >= 0 and a reach below 2^60, got [" + Long.MAX_VALUE + "]");
      refuses(
          () -> tensor.strided(0, new long[] {1, 2}, new long[] {1}),
          "strided: 2 sizes but 1 strides");
      refuses(
          () -> tensor.strided(0, new long[] {-2}, new long[] {1}),
          "shape: expected sizes >= 0 and a product below 2^60, got [-2]");
    }
    refuses(
        () -> Tensor.allocate(DType.F32, 1L << 40, 1L << 40),
        "shape: expected sizes >= 0 and a product below 2^60, got [1099511627776, 1099511627776]");
  }

  @Test
  void takesEmptyDimensions() {
    try (Tensor empty = Tensor.allocate(DType.F32, 2, 0, 3)) {
      assertThat(empty.elements()).isZero();
      assertThat(empty.isContiguous()).isTrue();
      assertThat(empty.toFloats()).isEmpty();
      assertThat(empty.reshape(0).toDoubles()).isEmpty();
      assertThat(empty.select(0, 1).shape()).containsExactly(0, 3);
      assertThat(empty.narrow(2, 3, 0).toLongs()).isEmpty();
      empty.copyFrom(empty);
    }
  }

  @Test
  void copiesAcrossTypesAndStrides() {
    for (DType from : DType.values()) {
      for (DType to : DType.values()) {
        try (MemoryScope scope = new MemoryScope()) {
          Tensor source =
              scope.allocate(from, 3, 4).strided(0, new long[] {4, 3}, new long[] {1, 4});
          Tensor target = scope.allocate(to, 4, 9).narrow(1, 2, 3);
          long[] values = new long[12];
          for (int i = 0; i < 12; i++) {
            values[i] = i % 2;
            source.accessor().setLong(i / 3 + i % 3 * 4, i % 2);
          }
          target.copyFrom(source);
          assertThat(target.toLongs()).as(from + " to " + to).isEqualTo(values);
        }
      }
    }
  }

  @Test
  void roundsOnceAndSaturatesWhenItConverts() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor doubles = scope.add(Tensor.of(new double[] {300, -1.9, 1 + 0x1p-11 + 0x1p-40}, 3));
      Tensor bytes = scope.allocate(DType.U8, 3);
      bytes.copyFrom(doubles);
      assertThat(bytes.toLongs()).containsExactly(255, 0, 1);
      Tensor halves = scope.allocate(DType.F16, 3);
      halves.copyFrom(doubles);
      assertThat(halves.toDoubles()[2]).isEqualTo(1 + 0x1p-10);
    }
  }

  @Test
  void keepsAllBitsWhereTheTypeStays() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor longs = scope.add(Tensor.of(new long[] {0, (1L << 53) + 1, 0, Long.MAX_VALUE}, 2, 2));
      Tensor copy = scope.allocate(DType.I64, 2, 1);
      copy.copyFrom(longs.narrow(1, 1, 1));
      assertThat(copy.toLongs()).containsExactly((1L << 53) + 1, Long.MAX_VALUE);
      Tensor ints = scope.allocate(DType.I32, 2, 1);
      ints.copyFrom(copy);
      assertThat(ints.toLongs()).containsExactly(Integer.MAX_VALUE, Integer.MAX_VALUE);
      Tensor halves = scope.allocate(DType.F16, 2, 2);
      halves.pointer().putShort(2, (short) 0x7c01);
      Tensor column = scope.allocate(DType.F16, 2, 1);
      column.copyFrom(halves.narrow(1, 1, 1));
      assertThat(column.pointer().getShort(0)).isEqualTo((short) 0x7c01);
    }
  }

  @Test
  void copiesOverlappingRowsAsIfThroughACopy() {
    try (Tensor tensor = counting(1000)) {
      tensor.narrow(0, 1, 999).copyFrom(tensor.narrow(0, 0, 999));
      assertThat(tensor.toLongs()[0]).isZero();
      assertThat(tensor.toLongs()[999]).isEqualTo(998);
      assertThat(tensor.toLongs()[500]).isEqualTo(499);
    }
  }

  @Test
  void refusesACopyOfAnotherShape() {
    try (Tensor a = counting(2, 3);
        Tensor b = counting(3, 2)) {
      refuses(() -> a.copyFrom(b), "source: expected shape [2, 3], got [3, 2]");
    }
  }

  @Test
  void refusesUseAfterClosing() {
    Tensor tensor = counting(4);
    Tensor view = tensor.narrow(0, 1, 2);
    assertThatThrownBy(view::close)
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("a view is closed through its owner: I32[2]@cpu");
    tensor.close();
    assertThat(tensor.isClosed()).isTrue();
    assertThat(tensor).hasToString("I32[4]@cpu (closed)");
    for (Runnable use :
        new Runnable[] {
          tensor::close,
          tensor::address,
          tensor::pointer,
          tensor::accessor,
          tensor::toFloats,
          view::toDoubles,
          view::address,
          () -> tensor.copyFrom(tensor)
        }) {
      assertThatThrownBy(use::run).isInstanceOf(IllegalStateException.class);
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    FlatMemory.assertFlat(
        "tensors",
        10_000,
        () -> {
          try (Tensor tensor = Cases.normal(1, DType.F32, 2, 2);
              Tensor copy = Tensor.allocate(DType.BF16, 2, 2)) {
            copy.copyFrom(tensor);
          }
        });
  }

  private static void refuses(Runnable call, String message) {
    assertThatThrownBy(call::run).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
  }
}
