package io.github.lightning4j.cispo;

/**
 * What a {@link PolicyLoss} says of a batch.
 *
 * @param loss the value
 * @param gradient {@code dloss / dlogProb}, in the shape of the log-probabilities; 0 for tokens
 *     that do not count. The array is the caller's
 * @param clippedAbove the fraction, of the tokens that count, whose ratio is above the upper bound
 *     of the loss's {@link ClipRange}, whatever the sign of the advantage
 * @param clippedBelow as {@code clippedAbove}, for ratios below the lower bound
 */
public record LossResult(
    double loss, double[][] gradient, double clippedAbove, double clippedBelow) {

  /** The fraction of the ratios that are outside the range on either side. */
  public double clipped() {
    return clippedAbove + clippedBelow;
  }
}
