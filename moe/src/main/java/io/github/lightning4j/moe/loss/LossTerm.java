package io.github.lightning4j.moe.loss;

import static com.google.common.base.Preconditions.checkArgument;

/** One auxiliary loss and how much it weighs. */
public sealed interface LossTerm permits BalanceLoss, ZLoss {
  /** What the value is multiplied by in the sum; finite, at least 0. */
  double coefficient();

  /** Which tokens count together. */
  BalanceLoss.Scope scope();

  /** Refuses a coefficient that is negative or not finite. */
  static void checkCoefficient(double coefficient) {
    checkArgument(
        coefficient >= 0 && coefficient < Double.POSITIVE_INFINITY,
        "coefficient: expected a finite number of at least 0, got %s",
        coefficient);
  }
}
