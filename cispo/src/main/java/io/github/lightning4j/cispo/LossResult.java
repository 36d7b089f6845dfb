package io.github.lightning4j.cispo;

/**
 * What a {@link PolicyLoss} says of a batch.
 *
 * @param loss the value
 * @param gradient {@code dloss / dlogProb}, in the shape of the log-probabilities; 0 for tokens
 *     that do not count. The array is the caller's
 * @param diagnostics what there is to report
 */
public record LossResult(double loss, double[][] gradient, Diagnostics diagnostics) {}
