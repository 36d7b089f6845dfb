package io.github.lightning4j.moe.loss;

import static java.util.Objects.requireNonNull;

/**
 * The balance loss: how far tokens and probabilities crowd on the same experts.
 *
 * <pre>
 *   f_e = n_e / N    n_e: choices of expert e, before any capacity; N: tokens; sums to k
 *   P_e = (1 / N) sum_t p_te
 *   loss = factor sum_e f_e P_e,   dp_te = factor n_e / N^2       (f has no gradient)
 * </pre>
 *
 * <p>p is the softmax of the logits, or the sigmoids divided by their sum over all experts.
 * Sources: Switch Transformer (arXiv 2101.03961), GShard (2006.16668), DeepSeek-V3 (2412.19437) for
 * sequences and sigmoids, Qwen (2501.11873) for the global batch.
 *
 * @param coefficient the weight of the loss; 0.01 in MiniMax-01, 0.001 in MiniMax-M1's config
 * @param normalization the factor, and whether layers are pooled
 * @param scope which tokens are balanced together
 */
public record BalanceLoss(double coefficient, Normalization normalization, Scope scope)
    implements LossTerm {

  /** The factor of the loss; its value where all is even is what tells them apart. */
  public enum Normalization {
    /** {@code E / k}: 1 where all is even. Each layer alone, layers are summed. Megatron. */
    SWITCH,
    /**
     * {@code 1 / E}: {@code k / E^2} where all is even. Each layer alone, layers are summed. As
     * GShard and MiniMax-01 print it, with all k choices counted.
     */
    GSHARD_MEAN,
    /**
     * {@code E}, tokens of all layers pooled: k where all is even. {@code load_balancing_loss_func}
     * of transformers.
     */
    HF_POOLED
  }

  /** Which tokens are balanced together. */
  public enum Scope {
    /** Those of each sequence; the mean over the sequences that have a token that counts. */
    SEQUENCE,
    /** Those of this call. */
    MICRO_BATCH,
    /**
     * Those of all ranks: n and N are summed over them, the probabilities are this rank's, so that
     * the values (and gradients) of the ranks sum to those of the whole batch. Do not average them.
     */
    GLOBAL_BATCH
  }

  /**
   * Validates.
   *
   * @throws IllegalArgumentException if the coefficient is negative or not finite
   */
  public BalanceLoss {
    LossTerm.checkCoefficient(coefficient);
    requireNonNull(normalization, "normalization");
    requireNonNull(scope, "scope");
  }

  /** {@link Normalization#SWITCH} over the micro-batch. */
  public static BalanceLoss of(double coefficient) {
    return new BalanceLoss(coefficient, Normalization.SWITCH, Scope.MICRO_BATCH);
  }

  /** The same with another factor. */
  public BalanceLoss withNormalization(Normalization newNormalization) {
    return new BalanceLoss(coefficient, newNormalization, scope);
  }

  /** The same over other tokens. */
  public BalanceLoss withScope(Scope newScope) {
    return new BalanceLoss(coefficient, normalization, newScope);
  }
}
