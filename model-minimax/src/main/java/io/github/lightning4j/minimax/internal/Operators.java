package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.attention.LightningAttention;
import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Gemm;
import io.github.lightning4j.core.nn.BiasedRows;
import io.github.lightning4j.core.nn.RowOperators;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.moe.MixtureOfExperts;
import io.github.lightning4j.moe.Router;
import io.github.lightning4j.moe.SharedExpert;
import io.github.lightning4j.vlmquant.VlmAttention;

/**
 * The operators a model calls, all of one backend.
 *
 * @param gemm linear layers
 * @param rows norms, residuals, rotary embedding, embedding lookup
 * @param biased layer norms and biases of the vision tower
 * @param lightning linear attention, with the norm and gate behind it
 * @param softmax attention over a key-value cache
 * @param byClass attention over a cache that knows classes of tokens
 * @param router expert choice
 * @param experts the expert products
 * @param shared the shared expert
 */
public record Operators(
    Gemm gemm,
    RowOperators rows,
    BiasedRows biased,
    LightningAttention lightning,
    CacheAttention softmax,
    VlmAttention byClass,
    Router router,
    MixtureOfExperts experts,
    SharedExpert shared) {

  /** What each operator chooses on this machine. */
  public static Operators best() {
    return new Operators(
        Gemm.best(),
        RowOperators.best(),
        BiasedRows.best(),
        LightningAttention.best(),
        CacheAttention.best(),
        VlmAttention.best(),
        Router.best(),
        MixtureOfExperts.best(),
        SharedExpert.best());
  }

  /**
   * All of one backend.
   *
   * @throws IllegalStateException if one is not available, with the reason
   */
  public static Operators of(Backend backend) {
    return new Operators(
        Gemm.of(backend),
        RowOperators.of(backend),
        BiasedRows.of(backend),
        LightningAttention.of(backend),
        CacheAttention.of(backend),
        VlmAttention.of(backend),
        Router.of(backend),
        MixtureOfExperts.of(backend),
        SharedExpert.of(backend));
  }
}
