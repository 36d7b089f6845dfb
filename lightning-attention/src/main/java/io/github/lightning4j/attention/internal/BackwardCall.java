package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of a backward call, checked; shapes as in the facade.
 *
 * @param q queries
 * @param k keys
 * @param v values
 * @param logDecay {@code [H]} F64
 * @param options of the forward call
 * @param initialState the state before the first token
 * @param dOut gradient of the output
 * @param dFinalState gradient of the final state; null for zero
 * @param outDq gradient of the queries
 * @param outDk gradient of the keys
 * @param outDv gradient of the values
 * @param outDInitialState gradient of the initial state
 * @param outDLogDecay {@code [B, H]} F64, the part of each row; null if not wanted
 */
public record BackwardCall(
    Tensor q,
    Tensor k,
    Tensor v,
    Tensor logDecay,
    Options options,
    Tensor initialState,
    Tensor dOut,
    @Nullable Tensor dFinalState,
    Tensor outDq,
    Tensor outDk,
    Tensor outDv,
    Tensor outDInitialState,
    @Nullable Tensor outDLogDecay) {

  /** The same call with the gradient of the decay wanted. */
  public BackwardCall withDLogDecay(Tensor parts) {
    return new BackwardCall(
        q,
        k,
        v,
        logDecay,
        options,
        initialState,
        dOut,
        dFinalState,
        outDq,
        outDk,
        outDv,
        outDInitialState,
        parts);
  }
}
