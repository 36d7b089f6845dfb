package io.github.lightning4j.attention;

import com.google.common.math.LongMath;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Tensor;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * Whether two strided tensors may share a byte.
 *
 * <p>Views of one fused projection span the same memory without sharing any of it. The proof: with
 * g a common divisor of all strides, each tensor stays within a window of the addresses modulo g,
 * and the windows are apart. Where that proof fails, sharing is assumed.
 */
final class Overlap {
  private Overlap() {}

  static boolean possible(Tensor a, Tensor b) {
    if (!Checks.overlap(a, b) || a.elements() == 0 || b.elements() == 0) {
      return false;
    }
    long period = LongMath.gcd(period(a), period(b));
    if (period == 0) {
      return true;
    }
    long shift = Math.floorMod(Checks.distance(a, b), period);
    return shift < run(a) || shift + run(b) > period;
  }

  /**
   * Whether every element has memory of its own: in the order of the strides, each dimension steps
   * over all that the smaller ones span. False also where only this proof fails.
   */
  static boolean isInjective(Tensor x) {
    if (x.isContiguous()) {
      return true;
    }
    int[] dims =
        IntStream.range(0, x.rank())
            .filter(d -> x.size(d) > 1)
            .boxed()
            .sorted(Comparator.comparingLong(d -> Math.abs(x.stride(d))))
            .mapToInt(d -> d)
            .toArray();
    long span = 1;
    for (int d : dims) {
      if (Math.abs(x.stride(d)) < span) {
        return x.elements() == 0;
      }
      span += (x.size(d) - 1) * Math.abs(x.stride(d));
    }
    return true;
  }

  /** How many trailing dimensions lie without gaps. */
  private static int denseDims(Tensor x) {
    long run = 1;
    int dims = 0;
    for (int d = x.rank() - 1; d >= 0 && (x.size(d) == 1 || x.stride(d) == run); d--) {
      run *= x.size(d);
      dims++;
    }
    return dims;
  }

  /** The bytes of the longest trailing stretch without gaps. */
  private static long run(Tensor x) {
    long run = x.dtype().bytes();
    for (int d = x.rank() - denseDims(x); d < x.rank(); d++) {
      run *= x.size(d);
    }
    return run;
  }

  /** The greatest common divisor of the bytes between such stretches; 0 if there is one. */
  private static long period(Tensor x) {
    long period = 0;
    for (int d = 0; d < x.rank() - denseDims(x); d++) {
      period = x.size(d) == 1 ? period : LongMath.gcd(period, Math.abs(x.stride(d)));
    }
    return period * x.dtype().bytes();
  }
}
