package io.github.lightning4j.attention;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Tensor;
import org.jspecify.annotations.Nullable;

/**
 * A forward pass over whole sequences, put together before it is run by {@link
 * LightningAttention#prefill(Prefill)} or differentiated by {@link LightningAttention#backward(
 * Prefill, Gradients)}.
 *
 * <p>The sequences are the B rows of q, k, v {@code [B, T, H, D]}, or, {@link #packed}, N sequences
 * of any lengths one behind the other in a single row. Without states they start from zeros and
 * what they end with is dropped. Arguments are checked when the pass is run. Not thread-safe; may
 * be run again and changed between runs.
 */
public final class Prefill {
  final Tensor q;
  final Tensor k;
  final Tensor v;
  final Decay decay;
  final Options options;
  final @Nullable Tensor out;
  @Nullable Tensor initialState;
  String initialName = "initialState";
  @Nullable Tensor finalState;
  @Nullable Tensor slots;
  @Nullable Tensor offsets;
  @Nullable Tensor snapshots;
  int snapshotEvery;
  long[] positions = {};
  @Nullable OutputNorm norm;

  /**
   * Over all tokens of each row.
   *
   * @param q queries {@code [B, T, H, Dk]}: F32, BF16 or F16
   * @param k keys {@code [B, T, H, Dk]}, of the type of q
   * @param v values {@code [B, T, H, Dv]}, of the type of q
   * @param decay one rate for each of the H heads
   * @param options scale and SiLU
   * @param out {@code [B, T, H, Dv]}, of the type of q or F32
   */
  public Prefill(Tensor q, Tensor k, Tensor v, Decay decay, Options options, Tensor out) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.decay = decay;
    this.options = options;
    this.out = out;
  }

  /**
   * A pass that is only differentiated: without outputs.
   *
   * @param q as above
   * @param k as above
   * @param v as above
   * @param decay as above
   * @param options as above
   */
  public Prefill(Tensor q, Tensor k, Tensor v, Decay decay, Options options) {
    this.q = q;
    this.k = k;
    this.v = v;
    this.decay = decay;
    this.options = options;
    this.out = null;
  }

  /**
   * The states before the first tokens, read only.
   *
   * @param states {@code [sequences, H, Dk, Dv]} F32, or a pool with {@link #slots}
   */
  public Prefill initialState(Tensor states) {
    initialState = states;
    return this;
  }

  /** {@link #initialState} where the caller knows it as the pool. */
  Prefill statePool(Tensor states) {
    initialName = "statePool";
    return initialState(states);
  }

  /**
   * Where the states after the last tokens go.
   *
   * @param states {@code [sequences, H, Dk, Dv]} F32, or a pool with {@link #slots}; may be the
   *     initial states' very memory
   */
  public Prefill finalState(Tensor states) {
    finalState = states;
    return this;
  }

  /** {@link #initialState} and {@link #finalState} in one, updated in place. */
  public Prefill state(Tensor states) {
    return initialState(states).finalState(states);
  }

  /**
   * Makes the states pools: sequence i uses entry {@code slots[i]} of them.
   *
   * @param indices {@code [sequences]} I32; -1 skips a sequence, whose outputs are zero. No slot
   *     may be named twice
   */
  public Prefill slots(Tensor indices) {
    slots = indices;
    return this;
  }

  /**
   * Packs sequences of different lengths into one row, {@code B = 1}: sequence i is the tokens
   * {@code [offsets[i], offsets[i + 1])}. There is no padding, and lengths of zero are fine.
   *
   * @param cumulative {@code [sequences + 1]} I32 or I64, from 0, ascending, to T
   */
  public Prefill packed(Tensor cumulative) {
    offsets = cumulative;
    return this;
  }

  /**
   * Keeps the states on the way, to resume from a shared prefix: those at positions that are
   * multiples of {@code every}.
   *
   * @param every tokens from one snapshot to the next, at least 1; multiples of 64 cost nothing but
   *     the memory
   * @param outStates {@code [count, H, Dk, Dv]} F32, sequence by sequence, with the count that
   *     {@link #snapshotCount} gives for each
   * @param startPositions the position of the first token of each sequence; none for 0 everywhere
   * @throws IllegalArgumentException if {@code every} is less than 1
   */
  public Prefill snapshots(int every, Tensor outStates, long... startPositions) {
    checkArgument(every >= 1, "every: expected at least 1 token, got %s", every);
    snapshots = outStates;
    snapshotEvery = every;
    positions = startPositions.clone();
    return this;
  }

  /**
   * How many multiples of {@code every} lie in {@code (position, position + tokens]}.
   *
   * @throws IllegalArgumentException if {@code every} is less than 1 or another is negative
   */
  public static long snapshotCount(long position, long tokens, int every) {
    checkArgument(every >= 1, "every: expected at least 1 token, got %s", every);
    checkArgument(position >= 0, "position: expected at least 0, got %s", position);
    checkArgument(tokens >= 0, "tokens: expected at least 0, got %s", tokens);
    return (position + tokens) / every - position / every;
  }

  /** Norms and gates what goes to {@code out}, see {@link OutputNorm}. */
  public Prefill norm(OutputNorm outputNorm) {
    norm = outputNorm;
    return this;
  }
}
