package io.github.lightning4j.core.testkit;

import io.github.lightning4j.core.Tensor;

/**
 * The tolerance rules. Each failure tells the worst element, both values, and the error against
 * what was allowed.
 */
public final class Closeness {
  private Closeness() {}

  /**
   * fp32 against the double reference: sum of squared differences over sum of squares at most
   * {@code limit} (the suite's rule is 1e-10).
   */
  public static void assertNmse(String what, double[] actual, double[] expected, double limit) {
    assertNmse(what, actual, expected, limit, 0);
  }

  /**
   * As above, for outputs that may cancel: the norm is at least that of elements of typical size.
   *
   * @param typicalSquare the mean square an element has when nothing cancels; K for a sum of K
   *     products of standard normal values
   */
  public static void assertNmse(
      String what, double[] actual, double[] expected, double limit, double typicalSquare) {
    assertSameLength(what, actual, expected);
    double error = 0;
    double norm = 0;
    for (int i = 0; i < actual.length; i++) {
      if (Double.doubleToLongBits(actual[i]) == Double.doubleToLongBits(expected[i])) {
        continue; // equal infinities or NaNs have no difference
      }
      error += square(actual[i] - expected[i]);
      norm += square(expected[i]);
    }
    norm = Math.max(norm, typicalSquare * actual.length);
    double nmse = norm == 0 ? error : error / norm;
    if (!(nmse <= limit)) {
      throw new AssertionError(
          what + ": NMSE " + nmse + " > " + limit + "; " + worst(actual, expected));
    }
  }

  /** See {@link #assertNmse(String, double[], double[], double)}. */
  public static void assertNmse(String what, Tensor actual, Tensor expected, double limit) {
    assertNmse(what, actual.toDoubles(), expected.toDoubles(), limit);
  }

  /** Every element within an absolute distance, as golden data states it. */
  public static void assertWithin(String what, double[] actual, double[] expected, double atol) {
    assertSameLength(what, actual, expected);
    for (int i = 0; i < actual.length; i++) {
      if (!(Math.abs(actual[i] - expected[i]) <= atol)) {
        throw new AssertionError(what + ": beyond " + atol + "; " + worst(actual, expected));
      }
    }
  }

  /**
   * Low precision: {@code |out - ref| <= 2 |naive - ref|} in the largest difference, where {@code
   * naive} is what a straightforward implementation at that precision gives.
   */
  public static void assertNoWorseThanNaive(
      String what, double[] actual, double[] naive, double[] reference) {
    double allowed = 2 * maxDifference(naive, reference);
    double came = maxDifference(actual, reference);
    if (!(came <= allowed)) {
      throw new AssertionError(
          what + ": error " + came + " > 2 x naive = " + allowed + "; " + worst(actual, reference));
    }
  }

  /** The largest absolute difference; NaN if any element is. */
  public static double maxDifference(double[] a, double[] b) {
    assertSameLength("difference", a, b);
    double worst = 0;
    for (int i = 0; i < a.length; i++) {
      worst = Math.max(worst, Math.abs(a[i] - b[i]));
    }
    return worst;
  }

  private static void assertSameLength(String what, double[] actual, double[] expected) {
    if (actual.length != expected.length) {
      throw new AssertionError(
          what + ": " + actual.length + " elements, expected " + expected.length);
    }
  }

  private static String worst(double[] actual, double[] expected) {
    int at = 0;
    double most = -1;
    for (int i = 0; i < actual.length; i++) {
      double difference = Math.abs(actual[i] - expected[i]);
      if (!(difference <= most)) {
        most = difference;
        at = i;
        if (Double.isNaN(difference)) {
          break;
        }
      }
    }
    return "worst at " + at + ": " + actual[at] + ", expected " + expected[at];
  }

  private static double square(double x) {
    return x * x;
  }
}
