package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.Tensor;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A checked prefill; shapes as in the facade.
 *
 * @param q queries; null if {@code out} is
 * @param k keys
 * @param v values
 * @param out outputs; null if only states are wanted
 * @param logDecay {@code [H]} F64
 * @param options scale and SiLU
 * @param initial states to start from {@code [., H, Dk, Dv]}, indexed by {@link Sequence#initial}
 * @param last where last states go, indexed by {@link Sequence#last}; may be {@code initial}
 * @param snapshots states taken on the way, indexed from {@link Sequence#snapshot} on
 * @param snapshotEvery tokens between snapshots
 * @param sequences what to run over; those that share a state do not exist
 */
public record PrefillCall(
    @Nullable Tensor q,
    Tensor k,
    Tensor v,
    @Nullable Tensor out,
    Tensor logDecay,
    Options options,
    @Nullable Tensor initial,
    @Nullable Tensor last,
    @Nullable Tensor snapshots,
    long snapshotEvery,
    List<Sequence> sequences) {

  /** Heads of a token. */
  public long heads() {
    return k.size(2);
  }

  /** Channels of a key. */
  public long dk() {
    return k.size(3);
  }

  /** Channels of a value. */
  public long dv() {
    return v.size(3);
  }

  /** The same over other sequences and states. */
  PrefillCall over(
      List<Sequence> newSequences, @Nullable Tensor newInitial, @Nullable Tensor newLast) {
    return new PrefillCall(
        q,
        k,
        v,
        out,
        logDecay,
        options,
        newInitial,
        newLast,
        snapshots,
        snapshotEvery,
        newSequences);
  }

  /** The same without outputs and snapshots; chunks end where these would have been taken. */
  PrefillCall statesOnly() {
    return new PrefillCall(
        null, k, v, null, logDecay, options, initial, last, null, snapshotEvery, sequences);
  }
}
