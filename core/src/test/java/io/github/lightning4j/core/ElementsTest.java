package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ElementsTest {
  @ParameterizedTest
  @CsvSource({
    "I64, 9.3e18, 9223372036854775807",
    "I64, -Infinity, -9223372036854775808",
    "I32, 2147483648, 2147483647",
    "I32, -1e30, -2147483648",
    "I8, 128, 127",
    "I8, -128.9, -128",
    "I8, -129, -128",
    "U8, 256, 255",
    "U8, -1, 0",
    "U8, 254.99, 254",
    "BOOL, -3, 1",
    "BOOL, 0.9, 0",
    "I16, 32768, 32767",
    "I16, -32768.9, -32768",
    "I16, -32769, -32768",
    "I16, -2.9, -2",
    "U16, 65536, 65535",
    "U16, 65535.9, 65535",
    "U16, -0.9, 0",
    "U16, -1, 0",
    "U32, 4294967296, 4294967295",
    "U32, 4294967295.9, 4294967295",
    "U32, 1e30, 4294967295",
    "U32, -1, 0",
    "U64, 9007199254740993.9, 9007199254740994",
    "U64, 254.99, 254",
    "U64, -1, 0",
    "U64, -Infinity, 0",
    "U64, NaN, 0",
    "U16, NaN, 0",
    "I32, NaN, 0",
    "I32, -2.9, -2"
  })
  void truncatesAndSaturatesToIntegers(DType dtype, double stored, long expected) {
    try (Tensor tensor = Tensor.allocate(dtype, 2)) {
      tensor.accessor().set(1, stored);
      assertThat(tensor.accessor().getLong(1)).isEqualTo(expected);
      assertThat(tensor.accessor().get(1)).isEqualTo((double) expected);
      assertThat(tensor.accessor().getLong(0)).isZero();
    }
  }

  @ParameterizedTest
  @CsvSource({
    "I32, 3000000000, 2147483647",
    "I16, 32767, 32767",
    "I16, 32768, 32767",
    "I16, -32768, -32768",
    "I16, -32769, -32768",
    "U16, 65535, 65535",
    "U16, 65536, 65535",
    "U16, -1, 0",
    "U32, 4294967295, 4294967295",
    "U32, 4294967296, 4294967295",
    "U32, -1, 0",
    "U64, 9223372036854775807, 9223372036854775807",
    "U64, -1, 0",
    "I8, -1000, -128",
    "U8, -1, 0",
    "BOOL, 256, 1"
  })
  void saturatesLongs(DType dtype, long stored, long expected) {
    try (Tensor tensor = Tensor.allocate(dtype, 1)) {
      tensor.accessor().setLong(0, stored);
      assertThat(tensor.accessor().getLong(0)).isEqualTo(expected);
    }
  }

  @Test
  void keepsLongsExactly() {
    try (Tensor tensor = Tensor.allocate(DType.I64, 1)) {
      tensor.accessor().setLong(0, Long.MAX_VALUE - 1);
      assertThat(tensor.accessor().getLong(0)).isEqualTo(Long.MAX_VALUE - 1);
    }
  }

  @ParameterizedTest
  @CsvSource({
    // Just above and just below the middle of two neighbours; through a float both would be ties.
    "F16, 0x1.002000000001p0, 0x1.004p0",
    "F16, 0x1.001fffffffffp0, 0x1p0",
    "F16, -0x1.002000000001p0, -0x1.004p0",
    "F16, 65519.9999999999, 65504",
    "F16, 0x1.0000000000001p-25, 0x1p-24",
    "F16, 1e300, Infinity",
    "F16, -1e-300, -0.0",
    "BF16, 0x1.010000000001p0, 0x1.02p0",
    "BF16, 0x1.00ffffffffffp0, 0x1p0",
    "BF16, 0x1.03p0, 0x1.04p0",
    "BF16, -1e300, -Infinity",
    "BF16, 1e-300, 0.0",
    "F32, 0x1.000001p0, 0x1p0",
    "F64, 0x1.0000000000001p0, 0x1.0000000000001p0"
  })
  void roundsOnceToNearestEven(DType dtype, double stored, double expected) {
    try (Tensor tensor = Tensor.allocate(dtype, 1)) {
      tensor.accessor().set(0, stored);
      assertThat(tensor.accessor().get(0)).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @CsvSource({
    // Just above and just below the middle of two neighbours; through a double both would be ties.
    "F32, 0x4000004000000001, 0x1.000002p62",
    "F32, 0x4000003fffffffff, 0x1p62",
    "F32, -0x4000003fffffffff, -0x1p62",
    "F32, -0x4000004000000001, -0x1.000002p62",
    "F32, 16777217, 0x1p24",
    "BF16, 0x4040000000000001, 0x1.02p62",
    "BF16, 0x403fffffffffffff, 0x1p62",
    "F16, 9223372036854775807, Infinity",
    "F64, 0x20000000000001, 0x1p53",
    "F64, 0x20000000000003, 0x1.0000000000002p53"
  })
  void roundsLongsOnceToNearestEven(DType dtype, String stored, double expected) {
    long value = Long.decode(stored);
    try (Tensor tensor = Tensor.allocate(dtype, 1)) {
      tensor.accessor().setLong(0, value);
      assertThat(tensor.accessor().get(0)).isEqualTo(expected);
      try (Tensor longs = Tensor.of(new long[] {value}, 1)) {
        tensor.accessor().set(0, 0);
        tensor.copyFrom(longs);
        assertThat(tensor.accessor().get(0)).isEqualTo(expected);
      }
    }
  }

  @Test
  void readsFloatsAsTruncatedLongs() {
    try (Tensor tensor = Tensor.of(new float[] {-2.9f, 1e30f}, 2)) {
      assertThat(tensor.accessor().getLong(0)).isEqualTo(-2);
      assertThat(tensor.accessor().getLong(1)).isEqualTo(Long.MAX_VALUE);
    }
  }

  @Test
  void staysWithinItsTensor() {
    try (Tensor tensor = Tensor.allocate(DType.F32, 8)) {
      Elements part = tensor.narrow(0, 2, 3).accessor();
      part.set(2, 1);
      assertThatThrownBy(() -> part.set(3, 1)).isInstanceOf(IndexOutOfBoundsException.class);
      assertThatThrownBy(() -> part.get(-1)).isInstanceOf(IndexOutOfBoundsException.class);
    }
  }
}
