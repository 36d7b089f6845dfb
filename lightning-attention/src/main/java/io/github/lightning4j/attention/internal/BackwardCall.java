package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A checked backward pass; shapes as in the facade. Results that are null are not wanted.
 *
 * @param q queries
 * @param k keys
 * @param v values
 * @param logDecay {@code [H]} F64
 * @param options of the forward call
 * @param initial the states before the first tokens, indexed by {@link Sequence#initial}; null for
 *     zeros
 * @param dOut gradient of the output
 * @param dLast gradient of the last states, indexed by {@link Sequence#last}; null for zero
 * @param outDq gradient of the queries
 * @param outDk gradient of the keys; null if {@code outDv} is
 * @param outDv gradient of the values
 * @param outDInitial gradient of the initial states, indexed as they are
 * @param outDLogDecay {@code [sequences, H]} F64, the part of each sequence; needs the first three
 *     gradients too
 * @param sequences those of the forward call
 */
public record BackwardCall(
    Tensor q,
    Tensor k,
    Tensor v,
    Tensor logDecay,
    Options options,
    @Nullable Tensor initial,
    Tensor dOut,
    @Nullable Tensor dLast,
    @Nullable Tensor outDq,
    @Nullable Tensor outDk,
    @Nullable Tensor outDv,
    @Nullable Tensor outDInitial,
    @Nullable Tensor outDLogDecay,
    List<Sequence> sequences) {

  /** The same over other sequences, states and gradients of states and decay. */
  BackwardCall over(
      List<Sequence> newSequences,
      @Nullable Tensor newInitial,
      @Nullable Tensor newDLast,
      @Nullable Tensor newOutDInitial,
      @Nullable Tensor newOutDLogDecay) {
    return new BackwardCall(
        q,
        k,
        v,
        logDecay,
        options,
        newInitial,
        dOut,
        newDLast,
        outDq,
        outDk,
        outDv,
        newOutDInitial,
        newOutDLogDecay,
        newSequences);
  }

  /** The same with the gradient of the decay wanted. */
  public BackwardCall withDLogDecay(Tensor parts) {
    return over(sequences, initial, dLast, outDInitial, parts);
  }

  /** The same with no gradient but that of the initial states. */
  BackwardCall statesOnly() {
    return new BackwardCall(
        q,
        k,
        v,
        logDecay,
        options,
        null,
        dOut,
        dLast,
        null,
        null,
        null,
        outDInitial,
        null,
        sequences);
  }

  /** The forward call's states, without outputs. */
  PrefillCall states(List<Sequence> over, Tensor last) {
    return new PrefillCall(null, k, v, null, logDecay, options, null, last, null, 0, over);
  }
}
