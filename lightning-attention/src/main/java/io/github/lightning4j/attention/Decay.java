package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * How fast each head forgets: one fixed rate a head.
 *
 * <p>Every token multiplies a head's state by {@code lambda = e^-slope}. Slope 0 forgets nothing;
 * the released models range from 0.92 (memory of about one token) to 5e-5 (some 20,000 tokens).
 * Rates are kept in double. Immutable; make it once for a layer and use it for every call.
 */
public final class Decay {
  private final ByteBuffer memory;
  private final Tensor logDecay;

  private Decay(double[] logDecay) {
    memory = ByteBuffer.allocateDirect(8 * logDecay.length).order(ByteOrder.nativeOrder());
    memory.asDoubleBuffer().put(logDecay);
    this.logDecay = Tensor.wrap(memory, DType.F64, logDecay.length);
  }

  /**
   * From slopes, {@code lambda = e^-slope}.
   *
   * @param slopes one a head, finite, {@code >= 0}; copied
   * @throws IllegalArgumentException if there is none, or one is negative, infinite or NaN
   */
  public static Decay ofSlopes(double[] slopes) {
    return checked("slopes", slopes, 1);
  }

  /**
   * From logarithms, {@code lambda = e^logDecay}.
   *
   * @param logDecay one a head, finite, {@code <= 0}; copied
   * @throws IllegalArgumentException if there is none, or one is positive, infinite or NaN
   */
  public static Decay ofLogDecay(double[] logDecay) {
    return checked("logDecay", logDecay, -1);
  }

  private static Decay checked(String name, double[] rates, int sign) {
    checkArgument(rates.length >= 1, "%s: expected at least one head, got none", name);
    double[] logDecay = new double[rates.length];
    for (int h = 0; h < rates.length; h++) {
      double slope = sign * rates[h];
      checkArgument(
          slope >= 0 && Double.isFinite(slope),
          "%s[%s]: expected a finite number %s 0, got %s",
          name,
          h,
          sign > 0 ? ">=" : "<=",
          rates[h]);
      logDecay[h] = -slope;
    }
    return new Decay(logDecay);
  }

  /**
   * The same rates times a factor, such as {@link Slopes#layerFactor}: deeper layers forget more
   * slowly.
   *
   * @param factor of the slopes, finite, {@code >= 0}
   * @throws IllegalArgumentException if the factor is negative, infinite or NaN
   */
  public Decay scaled(double factor) {
    checkArgument(
        factor >= 0 && Double.isFinite(factor),
        "factor: expected a finite number >= 0, got %s",
        factor);
    double[] scaled = logDecay.toDoubles();
    for (int h = 0; h < scaled.length; h++) {
      scaled[h] *= factor;
    }
    return ofLogDecay(scaled);
  }

  /** The number of heads. */
  public int heads() {
    return (int) logDecay.size(0);
  }

  /** {@code log(lambda)} of a head, {@code <= 0}. */
  public double logDecay(int head) {
    checkArgument(head >= 0 && head < heads(), "head: expected 0 <= %s < %s", head, heads());
    return memory.getDouble(8 * head);
  }

  /** All of them, {@code [heads]} F64, for kernels; lives as long as this object. */
  Tensor tensor() {
    return logDecay;
  }

  @Override
  public String toString() {
    return "Decay of log " + Arrays.toString(logDecay.toDoubles());
  }
}
