package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Where a softmax layer of a vision-language model looks, once its most recent tokens are left out.
 * A property of the model's layers that is measured ({@link SalienceCalibrator}), never assumed:
 * AKVQ-VL finds layers 0 and 1 of LLaVA-v1.5-7B text-salient and none of LLaVA-v1.6-mistral-7B.
 */
public enum LayerPattern {
  /** TSA: a text token draws more attention than a visual one. */
  TEXT_SALIENT,
  /** PSA: a few positions, the pivots, absorb most of it. */
  PIVOT_SALIENT;

  /** A layer is text-salient if a text token draws more than so many times as much. */
  public static final double THRESHOLD = 2;

  /**
   * The pattern that a measurement means.
   *
   * @param textSalience attention on a text token over that on a visual one
   * @param threshold text-salient is what lies above, {@link #THRESHOLD} as a rule
   * @throws IllegalArgumentException if one of them is negative or NaN
   */
  public static LayerPattern of(double textSalience, double threshold) {
    checkArgument(textSalience >= 0, "textSalience: expected >= 0, got %s", textSalience);
    checkArgument(threshold >= 0, "threshold: expected >= 0, got %s", threshold);
    return textSalience > threshold ? TEXT_SALIENT : PIVOT_SALIENT;
  }
}
