package io.github.lightning4j.moe.loss;

import static com.google.common.base.Preconditions.checkArgument;
import static java.util.Objects.requireNonNull;

import io.github.lightning4j.moe.loss.BalanceLoss.Scope;

/**
 * The router z-loss, which keeps logits small; summed over the layers.
 *
 * <pre>
 *   z = (1 / N) sum_t lse(logits_t)^2,   lse(l) = log sum_e exp(l_e)
 *   dlogits = 2 lse softmax(logits) / N
 * </pre>
 *
 * <p>The sum is over the tokens of this rank that count, whatever the score. N is their number with
 * {@link Scope#MICRO_BATCH}, that of all ranks with {@link Scope#GLOBAL_BATCH}: then the values
 * (and gradients) of the ranks sum to those of the whole batch, as those of a {@link BalanceLoss}
 * of this scope do. Give the terms of one {@link AuxLoss} that is spread over ranks one scope.
 * Source: ST-MoE (arXiv 2202.08906), eq. 5.
 *
 * @param coefficient the weight of the loss, usually 0.001
 * @param scope whose tokens N counts
 */
public record ZLoss(double coefficient, Scope scope) implements LossTerm {
  /**
   * Validates.
   *
   * @throws IllegalArgumentException if the coefficient is negative or not finite, or the scope is
   *     {@link Scope#SEQUENCE}
   */
  public ZLoss {
    LossTerm.checkCoefficient(coefficient);
    checkArgument(
        requireNonNull(scope, "scope") != Scope.SEQUENCE,
        "scope: expected MICRO_BATCH or GLOBAL_BATCH, got SEQUENCE");
  }

  /**
   * Over the micro-batch.
   *
   * @throws IllegalArgumentException if the coefficient is negative or not finite
   */
  public ZLoss(double coefficient) {
    this(coefficient, Scope.MICRO_BATCH);
  }

  /** The same over other tokens. */
  public ZLoss withScope(Scope newScope) {
    return new ZLoss(coefficient, newScope);
  }
}
