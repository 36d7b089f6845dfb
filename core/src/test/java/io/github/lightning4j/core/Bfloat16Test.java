package io.github.lightning4j.core;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

final class Bfloat16Test {
  /** The definition: sign, exponent of bias 127, seven bits of fraction. */
  private static double value(int bits) {
    double sign = (bits & 0x8000) == 0 ? 1 : -1;
    int exponent = bits >> 7 & 255;
    double fraction = (bits & 0x7f) / 128.0;
    if (exponent == 255) {
      return fraction == 0 ? sign * Double.POSITIVE_INFINITY : Double.NaN;
    }
    return exponent == 0
        ? sign * fraction * Math.pow(2, -126)
        : sign * (1 + fraction) * Math.pow(2, exponent - 127);
  }

  @Test
  void givesTheValueOfEveryBitPattern() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      double got = Bfloat16.toFloat((short) bits);
      assertThat(Double.doubleToLongBits(got))
          .as("%x", bits)
          .isEqualTo(Double.doubleToLongBits(value(bits)));
    }
  }

  @Test
  void bringsEveryBitPatternBack() {
    for (int bits = 0; bits < 1 << 16; bits++) {
      boolean nan = (bits & 0x7fff) > 0x7f80;
      int expected = nan ? bits | 0x40 : bits;
      assertThat(Bfloat16.fromFloat(Bfloat16.toFloat((short) bits)) & 0xffff)
          .as("%x", bits)
          .isEqualTo(expected);
    }
  }

  @Test
  void roundsToNearestAndMiddlesToEven() {
    for (int bits = 0; bits < 0x7f80; bits++) {
      float middle = Float.intBitsToFloat(bits << 16 | 0x8000);
      int even = bits + (bits & 1);
      for (int sign : new int[] {0, 0x8000}) {
        float signed = sign == 0 ? middle : -middle;
        check(signed, even | sign);
        check(Math.nextAfter(signed, 0), bits | sign);
        check(Math.nextAfter(signed, signed * 2.0), bits + 1 | sign);
      }
    }
  }

  private static void check(float value, int expected) {
    assertThat(Bfloat16.fromFloat(value) & 0xffff).as("%s", value).isEqualTo(expected);
  }

  @Test
  void keepsNotANumberWhoseBitsAreAllBelow() {
    assertThat(Bfloat16.toFloat(Bfloat16.fromFloat(Float.intBitsToFloat(0x7f800001)))).isNaN();
    assertThat(Bfloat16.toFloat(Bfloat16.fromFloat(Float.intBitsToFloat(0xffffffff)))).isNaN();
  }
}
