package io.github.lightning4j.kvquant.quantizer;

import static com.google.common.base.Preconditions.checkArgument;

import java.util.Arrays;

/**
 * How much of a group's range the affine grid spans; what lies outside takes the outermost codes.
 *
 * @param rule how {@code value} is used
 * @param value in {@code (0, 1]}; 1 spans the whole group under every rule
 */
public record Clip(Rule rule, double value) {
  /** How the ends of the range are moved. */
  public enum Rule {
    /**
     * {@code [value min, value max]}, as RotateKV does. Only sane where the group straddles zero: a
     * group of 9 to 11 becomes the range 7.2 to 8.8, which none of its values lies in.
     */
    PAPER,
    /** Half the width times {@code value}, about the midpoint. */
    CENTERED,
    /**
     * {@code [max(min, -c), min(max, c)]}, c the {@code value}-quantile of the group's magnitudes,
     * interpolated between neighbours. Where that leaves nothing of a range, it is not applied.
     */
    PERCENTILE
  }

  /** The whole range. */
  public static final Clip NONE = new Clip(Rule.PAPER, 1);

  /**
   * Checks the value.
   *
   * @throws IllegalArgumentException unless {@code 0 < value <= 1}
   */
  public Clip {
    checkArgument(value > 0 && value <= 1, "clip: expected 0 < value <= 1, got %s", value);
  }

  /** {@link Rule#PAPER} with this factor. */
  public static Clip paper(double factor) {
    return new Clip(Rule.PAPER, factor);
  }

  /** {@link Rule#CENTERED} with this factor. */
  public static Clip centered(double factor) {
    return new Clip(Rule.CENTERED, factor);
  }

  /** {@link Rule#PERCENTILE} with this quantile. */
  public static Clip percentile(double quantile) {
    return new Clip(Rule.PERCENTILE, quantile);
  }

  /** The range of {@code x[from, to)} that the grid spans, in double. */
  Range range(float[] x, int from, int to) {
    Range whole = Range.of(x, from, to);
    return switch (rule) {
      case PAPER -> new Range(value * whole.min(), value * whole.max());
      case CENTERED -> {
        double middle = (whole.max() + whole.min()) / 2;
        double half = (whole.max() - whole.min()) / 2 * value;
        yield new Range(middle - half, middle + half);
      }
      case PERCENTILE -> {
        double c = quantile(x, from, to);
        Range clipped = new Range(Math.max(whole.min(), -c), Math.min(whole.max(), c));
        yield clipped.max() > clipped.min() ? clipped : whole;
      }
    };
  }

  private double quantile(float[] x, int from, int to) {
    float[] magnitudes = Arrays.copyOfRange(x, from, to);
    for (int i = 0; i < magnitudes.length; i++) {
      magnitudes[i] = Math.abs(magnitudes[i]);
    }
    Arrays.sort(magnitudes);
    double at = value * (magnitudes.length - 1);
    int below = (int) at;
    int above = Math.min(below + 1, magnitudes.length - 1);
    return magnitudes[below] + (at - below) * ((double) magnitudes[above] - magnitudes[below]);
  }
}
