package io.github.lightning4j.cispo;

/**
 * A loss that moves a policy towards the sampled tokens of good responses and away from those of
 * bad ones.
 *
 * <pre>
 *   L = sum_i w_i sum_t (importance_it surrogate_it + klWeight k3_it)
 *   k3_it = exp(d) - d - 1,  d = referenceLogProb_it - logProb_it      (>= 0, its mean is the KL)
 * </pre>
 *
 * <p>The surrogate is that of {@link Cispo}, {@link ClippedSurrogate} or {@link Sapo}; sums run
 * over the tokens that count, the importance is 1 unless {@link TokenBatch#withImportance} says
 * otherwise, and the weights are those of an {@link Aggregation}. L is to be minimised.
 *
 * <p>Log-ratios and d are clamped to &plusmn;20 before exp, as in verl; beyond, a ratio has no
 * derivative.
 *
 * <p>Losses are immutable and safe to share between threads. All is computed in double, in the
 * order of the tokens, so equal batches give equal bits. Cost: linear in the tokens.
 */
public sealed interface PolicyLoss permits Cispo, ClippedSurrogate, Sapo {

  /** The weight of the KL penalty, often called beta; 0 for none. */
  double klWeight();

  /** How tokens are averaged. */
  Aggregation aggregation();

  /**
   * The loss of a batch and its gradient.
   *
   * @throws IllegalArgumentException if no token of the whole counts (an empty part of a whole that
   *     is not empty has a loss of 0), there is a KL penalty but the batch has no reference
   *     log-probabilities, a sequence is too long for the aggregation, groups are missing, or the
   *     loss overflows
   */
  LossResult evaluate(TokenBatch batch);
}
