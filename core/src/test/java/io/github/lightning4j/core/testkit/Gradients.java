package io.github.lightning4j.core.testkit;

import java.util.Random;
import java.util.function.ToDoubleFunction;

/** Gradients checked by central differences in double. */
public final class Gradients {
  private Gradients() {}

  /**
   * Compares an analytic gradient with {@code (f(x + h) - f(x - h)) / 2h} at some coordinates.
   *
   * @param what the name, for messages
   * @param f the scalar function; called with a changed copy of {@code x}
   * @param x the point
   * @param gradient the analytic gradient at {@code x}
   * @param probes how many coordinates to check; all, if there are not more
   * @param rtol the allowed difference relative to the largest gradient (at least 1)
   */
  public static void assertMatches(
      String what,
      ToDoubleFunction<double[]> f,
      double[] x,
      double[] gradient,
      int probes,
      double rtol) {
    double scale = 1;
    for (double g : gradient) {
      scale = Math.max(scale, Math.abs(g));
    }
    Random random = new Random(7);
    int count = Math.min(probes, x.length);
    for (int probe = 0; probe < count; probe++) {
      int i = count == x.length ? probe : random.nextInt(x.length);
      double h = 1e-5 * Math.max(1, Math.abs(x[i]));
      double slope = (f.applyAsDouble(moved(x, i, h)) - f.applyAsDouble(moved(x, i, -h))) / (2 * h);
      if (!(Math.abs(slope - gradient[i]) <= rtol * scale)) {
        throw new AssertionError(
            what + "[" + i + "]: gradient " + gradient[i] + ", finite difference " + slope);
      }
    }
  }

  private static double[] moved(double[] x, int i, double by) {
    double[] copy = x.clone();
    copy[i] += by;
    return copy;
  }
}
