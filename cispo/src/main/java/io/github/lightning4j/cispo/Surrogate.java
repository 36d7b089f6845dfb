package io.github.lightning4j.cispo;

/** What a loss says of one token; the rest of a loss is {@link LossSum}. */
interface Surrogate {
  /** Whose ratio it takes. */
  RatioLevel level();

  /** The range whose two sides are counted, for tokens of an advantage. */
  ClipRange range(double advantage);

  /** The term of the sum. */
  double value(double ratio, double advantage, double logProb);

  /**
   * The derivative of the term.
   *
   * @param dRatio of the ratio by the log-ratio: the ratio itself, or 0 where that is clamped
   */
  double slope(double ratio, double dRatio, double advantage);
}
