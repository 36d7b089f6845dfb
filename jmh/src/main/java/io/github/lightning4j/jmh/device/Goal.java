package io.github.lightning4j.jmh.device;

import java.util.Locale;

/**
 * What a row is to reach.
 *
 * @param kind what is held against what
 * @param value a share, microseconds, or 0
 */
record Goal(Kind kind, double value) {
  /** The kinds of goals. */
  enum Kind {
    /** Nothing: told for others to be held against. */
    NONE,
    /** Bytes a second, as a share of those of a copy on the same GPU. */
    BANDWIDTH,
    /** Operations a second, as a share of those of a large dense product in bf16. */
    MATRIX_RATE,
    /** At most so many microseconds. */
    TIME
  }

  /** Of a row that others are held against. */
  static final Goal NONE = new Goal(Kind.NONE, 0);

  static Goal ofBandwidth(double share) {
    return new Goal(Kind.BANDWIDTH, share);
  }

  static Goal ofMatrixRate(double share) {
    return new Goal(Kind.MATRIX_RATE, share);
  }

  static Goal microseconds(double most) {
    return new Goal(Kind.TIME, most);
  }

  @Override
  public String toString() {
    return switch (kind) {
      case NONE -> "-";
      case BANDWIDTH -> String.format(Locale.ROOT, "%.0f %% of memory bandwidth", 100 * value);
      case MATRIX_RATE -> String.format(Locale.ROOT, "%.0f %% of a dense product", 100 * value);
      case TIME -> Timing.duration(value);
    };
  }
}
