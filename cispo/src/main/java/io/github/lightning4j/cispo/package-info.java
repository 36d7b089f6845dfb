/**
 * The reinforcement-learning losses of MiniMax-M1: CISPO and the losses it is compared with, over
 * the log-probabilities of sampled tokens.
 *
 * <pre>
 *   r_it = exp(logProb_it - oldLogProb_it)                how the policy moved since it sampled
 *   L = sum_i w_i sum_t (surrogate(r_it, A_i, logProb_it) + klWeight k3_it)
 * </pre>
 *
 * <p>A {@link io.github.lightning4j.cispo.TokenBatch} holds what a loss reads. A {@link
 * io.github.lightning4j.cispo.PolicyLoss} gives a {@link io.github.lightning4j.cispo.LossResult}:
 * its value, its gradient with respect to the log-probabilities, and {@link
 * io.github.lightning4j.cispo.Diagnostics}. {@link io.github.lightning4j.cispo.Cispo} clips the
 * weight of a token and keeps its gradient; {@link io.github.lightning4j.cispo.ClippedSurrogate}
 * (GRPO, BNPO, DAPO, Dr.GRPO, GSPO) drops the gradient of what it clips; {@link
 * io.github.lightning4j.cispo.Sapo} lets it fade. {@link io.github.lightning4j.cispo.Aggregation}
 * gives the weights w_i, over {@link io.github.lightning4j.cispo.BatchCounts} that parts of a batch
 * share.
 *
 * <p>Plain Java in double. Log-probabilities come from a model's head in {@link
 * io.github.lightning4j.cispo.head}; advantages and the rest of the recipe in {@link
 * io.github.lightning4j.cispo.recipe}.
 */
@NullMarked
package io.github.lightning4j.cispo;

import org.jspecify.annotations.NullMarked;
