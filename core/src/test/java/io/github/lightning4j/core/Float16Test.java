package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class Float16Test {
  /** The definition: sign, exponent of bias 15, ten bits of fraction. */
  private static double value(int bits) {
    double sign = (bits & 0x8000) == 0 ? 1 : -1;
    int exponent = bits >> 10 & 31;
    double fraction = (bits & 0x3ff) / 1024.0;
    if (exponent == 31) {
      return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
    }
    return exponent == 0
        ? sign * fraction * Math.pow(2, -14)
        : sign * (1 + fraction) * Math.pow(2, exponent - 15);
  }

  @Test
  void givesTheValueOfEveryBitPattern() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      double got = Float16.toFloat((short) bits);
      // Compared as bits: -0 is not 0, NaN is NaN.
      assertThat(Double.doubleToLongBits(got))
          .as("%x", bits)
          .isEqualTo(Double.doubleToLongBits(value(bits)));
    }
  }

  @Test
  void bringsEveryBitPatternBack() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      boolean nan = (bits & 0x7fff) > 0x7c00;
      int expected = nan ? bits | 0x200 : bits;
      assertThat(Float16.fromFloat(Float16.toFloat((short) bits)) & 0xffff)
          .as("%x", bits)
          .isEqualTo(expected);
    }
  }

  @Test
  void roundsToNearestAndMiddlesToEven() {
    for (int bits = 0; bits < 0x7c00; bits++) {
      // The neighbour of the largest value, were there one, is 65536.
      double next = bits == 0x7bff ? 65536 : value(bits + 1);
      float middle = (float) ((value(bits) + next) / 2);
      int even = bits + (bits & 1);
      for (int sign : new int[] {0, 0x8000}) {
        float signed = sign == 0 ? middle : -middle;
        check(signed, even | sign);
        check(Math.nextAfter(signed, 0), bits | sign);
        check(Math.nextAfter(signed, signed * 2), bits + 1 | sign);
      }
    }
  }

  private static void check(float value, int expected) {
    assertThat(Float16.fromFloat(value) & 0xffff).as("%s", value).isEqualTo(expected);
  }

  @Test
  void overflowsAndUnderflowsWithTheSign() {
    check(Float.MAX_VALUE, 0x7c00);
    check(Float.NEGATIVE_INFINITY, 0xfc00);
    check(Float.MIN_VALUE, 0);
    check(-Float.MIN_VALUE, 0x8000);
  }
}
