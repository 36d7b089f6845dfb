package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * How lightning attention treats its inputs.
 *
 * @param scale what queries are multiplied by; the released models use 1 (no {@code 1/sqrt(D)})
 * @param silu whether SiLU, {@code x / (1 + e^-x)}, is applied to queries, keys and values as they
 *     are read, so that the projection before needs no pass of its own
 */
public record Options(float scale, boolean silu) {
  /** Scale 1, no SiLU: the bare recurrence. */
  public static final Options DEFAULT = new Options(1, false);

  /**
   * Validates.
   *
   * @throws IllegalArgumentException if the scale is not finite
   */
  public Options {
    checkArgument(Float.isFinite(scale), "scale: expected a finite number, got %s", scale);
  }

  /** The same with another scale. */
  public Options withScale(float newScale) {
    return new Options(newScale, silu);
  }

  /** The same with or without SiLU. */
  public Options withSilu(boolean newSilu) {
    return new Options(scale, newSilu);
  }
}
