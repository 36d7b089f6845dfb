package io.github.lightning4j.jmh.device;

import com.fasterxml.jackson.annotation.JsonInclude;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * What a row is to reach.
 *
 * @param kind what is held against what
 * @param value a share, microseconds, or 0
 * @param beside for {@link Kind#SPEED} the title of the row it is held against
 * @param name what the table calls that row here
 */
@JsonInclude(JsonInclude.Include.NON_NULL)
record Goal(Kind kind, double value, @Nullable String beside, @Nullable String name) {
  /** The kinds of goals. */
  enum Kind {
    /** Nothing: told for others to be held against. */
    NONE,
    /** Bytes a second, as a share of those of a copy on the same GPU. */
    BANDWIDTH,
    /** Operations a second, as a share of those of a large dense product in bf16. */
    MATRIX_RATE,
    /** At most so many microseconds. */
    TIME,
    /** As a multiple of another row: operations a second, or steps where nobody counts those. */
    SPEED
  }

  /** Of a row that others are held against. */
  static final Goal NONE = new Goal(Kind.NONE, 0, null, null);

  static Goal ofBandwidth(double share) {
    return new Goal(Kind.BANDWIDTH, share, null, null);
  }

  static Goal ofMatrixRate(double share) {
    return new Goal(Kind.MATRIX_RATE, share, null, null);
  }

  static Goal microseconds(double most) {
    return new Goal(Kind.TIME, most, null, null);
  }

  static Goal ofSpeed(double multiple, String title, String name) {
    return new Goal(Kind.SPEED, multiple, title, name);
  }

  @Override
  public String toString() {
    return switch (kind) {
      case NONE -> "-";
      case BANDWIDTH -> String.format(Locale.ROOT, "%.0f %% of memory bandwidth", 100 * value);
      case MATRIX_RATE -> String.format(Locale.ROOT, "%.0f %% of a dense product", 100 * value);
      case TIME -> Timing.duration(value);
      case SPEED -> String.format(Locale.ROOT, "%.1f x the speed of %s", value, name);
    };
  }
}
