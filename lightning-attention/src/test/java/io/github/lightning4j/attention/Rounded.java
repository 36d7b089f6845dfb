package io.github.lightning4j.attention;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;

/** How close results of any type must come to the truth. */
final class Rounded {
  private Rounded() {}

  /**
   * F32 by NMSE; 16-bit results within half a unit in the last place of the truth, and beyond that
   * the root of the same NMSE.
   *
   * @param typical the mean square of an element when nothing cancels
   */
  static void assertClose(
      String what, Tensor actual, double[] expected, double limit, double typical) {
    double[] got = actual.toDoubles();
    if (actual.dtype().bytes() > 2) {
      Closeness.assertNmse(what, got, expected, limit, typical);
      return;
    }
    double squares = 0;
    for (double x : expected) {
      squares += x * x;
    }
    double size = Math.sqrt(Math.max(typical, squares / Math.max(1, expected.length)));
    for (int i = 0; i < expected.length; i++) {
      double allowed = unit(actual.dtype(), expected[i]) / 2 + Math.sqrt(limit) * size;
      if (!(Math.abs(got[i] - expected[i]) <= allowed)) {
        throw new AssertionError(
            what + "[" + i + "]: " + got[i] + ", expected " + expected[i] + " +- " + allowed);
      }
    }
  }

  /** The distance from one number of a 16-bit type to the next, around x. */
  private static double unit(DType type, double x) {
    int digits = type == DType.BF16 ? 7 : 10;
    int least = type == DType.BF16 ? -126 : -14;
    return Math.scalb(1.0, Math.max(least, Math.getExponent(x)) - digits);
  }
}
