package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigInteger;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Unsigned 64-bit elements, whose values from 2^63 on no long can hold. */
final class Uint64Test {
  private static final BigInteger RANGE = BigInteger.ONE.shiftLeft(64);

  /** A tensor of these bits. */
  private static Tensor u64(long... bits) {
    Tensor tensor = Tensor.allocate(DType.U64, bits.length);
    for (int i = 0; i < bits.length; i++) {
      tensor.pointer().putLong(i * 8L, bits[i]);
    }
    return tensor;
  }

  private static BigInteger value(long bits) {
    return BigInteger.valueOf(bits).mod(RANGE);
  }

  /** Bits of every length, next to powers of two and to middles of neighbouring floats. */
  private static long[] samples() {
    Random random = new Random(1);
    long[] bits = new long[6 * 64 + 1000];
    for (int i = 0; i < 64; i++) {
      long power = 1L << i;
      long ulp = Math.max(1, power >>> 24);
      long[] near = {power, power - 1, power + 1, power + ulp, power + ulp - 1, power + ulp + 1};
      System.arraycopy(near, 0, bits, 6 * i, 6);
    }
    for (int i = 6 * 64; i < bits.length; i++) {
      bits[i] = random.nextLong() >>> random.nextInt(64);
    }
    return bits;
  }

  @Test
  void readsAsTheUnsignedValueAndItsBits() {
    long[] bits = samples();
    try (Tensor tensor = u64(bits)) {
      assertThat(tensor.toLongs()).isEqualTo(bits);
      for (int i = 0; i < bits.length; i++) {
        assertThat(tensor.accessor().getLong(i)).isEqualTo(bits[i]);
        assertThat(tensor.accessor().get(i)).isEqualTo(value(bits[i]).doubleValue());
        assertThat(tensor.toDoubles()[i]).isEqualTo(value(bits[i]).doubleValue());
      }
    }
  }

  @Test
  void roundsOnceToFloats() {
    long[] bits = samples();
    try (Tensor tensor = u64(bits);
        Tensor copy = Tensor.allocate(DType.F32, bits.length)) {
      copy.copyFrom(tensor);
      for (int i = 0; i < bits.length; i++) {
        assertThat(tensor.toFloats()[i]).as("%x", bits[i]).isEqualTo(value(bits[i]).floatValue());
        assertThat(copy.toFloats()[i]).as("%x", bits[i]).isEqualTo(value(bits[i]).floatValue());
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0x1p63, 9223372036854775808",
    "0x1.fffffffffffffp62, 9223372036854774784",
    "0x1.0000000000001p63, 9223372036854777856",
    "0x1.fffffffffffffp63, 18446744073709549568",
    "0x1p64, 18446744073709551615",
    "1e300, 18446744073709551615",
    "Infinity, 18446744073709551615",
    "0.99, 0",
    "-0.0, 0",
    "-0x1p63, 0"
  })
  void takesDoublesTruncatedAndSaturated(double stored, String expected) {
    try (Tensor tensor = Tensor.allocate(DType.U64, 1);
        Tensor doubles = Tensor.of(new double[] {stored}, 1)) {
      tensor.accessor().set(0, stored);
      assertThat(Long.toUnsignedString(tensor.accessor().getLong(0))).isEqualTo(expected);
      tensor.pointer().putLong(0, 5);
      tensor.copyFrom(doubles);
      assertThat(Long.toUnsignedString(tensor.accessor().getLong(0))).isEqualTo(expected);
    }
  }

  @ParameterizedTest
  @EnumSource
  void copiesTheUnsignedValueToEveryType(DType dtype) {
    double largest =
        switch (dtype) {
          case F64, F32, BF16, U64 -> 0x1p64;
          case F16 -> Double.POSITIVE_INFINITY;
          case I64 -> 0x1p63;
          case I32 -> Integer.MAX_VALUE;
          case U32 -> 4294967295.0;
          case I16 -> 32767;
          case U16 -> 65535;
          case I8 -> 127;
          case U8 -> 255;
          case BOOL -> 1;
        };
    try (Tensor tensor = u64(-1, 1);
        Tensor copy = Tensor.allocate(dtype, 2)) {
      copy.copyFrom(tensor);
      assertThat(copy.toDoubles()).containsExactly(largest, 1);
    }
  }

  @Test
  void keepsAllBitsAndClampsWhatIsNegative() {
    try (Tensor tensor = u64(-1, Long.MIN_VALUE, (1L << 53) + 1, 0);
        Tensor copy = Tensor.allocate(DType.U64, 4, 2);
        Tensor longs = Tensor.of(new long[] {-1, Long.MIN_VALUE, Long.MAX_VALUE, 0}, 4)) {
      copy.select(1, 1).copyFrom(tensor);
      assertThat(copy.select(1, 1).toLongs()).isEqualTo(tensor.toLongs());
      tensor.copyFrom(longs);
      assertThat(tensor.toLongs()).containsExactly(0, 0, Long.MAX_VALUE, 0);
    }
  }

  @Test
  void roundsOnceToSixteenBits() {
    // Just above the middle of two neighbours: a double or a float would make a tie of it.
    try (Tensor tensor = u64(0x8080000000000001L, 0x8080000000000000L, 0x807fffffffffffffL);
        Tensor copy = Tensor.allocate(DType.BF16, 3)) {
      copy.copyFrom(tensor);
      assertThat(copy.toDoubles()).containsExactly(0x1.02p63, 0x1p63, 0x1p63);
    }
  }
}
