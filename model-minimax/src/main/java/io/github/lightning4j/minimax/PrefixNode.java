package io.github.lightning4j.minimax;

import com.google.common.primitives.ImmutableIntArray;
import io.github.lightning4j.minimax.internal.SequenceState;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A checkpoint of a {@link PrefixCache}.
 *
 * @param parent the checkpoint before, whose pages it shares; null: the start of all sequences
 * @param block the tokens from there to here
 * @param length tokens from the start
 * @param state after them; null at the start
 * @param bytes what is freed with it
 * @param children the checkpoints behind it, by their tokens
 */
record PrefixNode(
    @Nullable PrefixNode parent,
    ImmutableIntArray block,
    int length,
    @Nullable SequenceState state,
    long bytes,
    Map<ImmutableIntArray, PrefixNode> children) {
  static PrefixNode start() {
    return new PrefixNode(null, ImmutableIntArray.of(), 0, null, 0, new HashMap<>());
  }

  /** A checkpoint behind this one. */
  PrefixNode next(ImmutableIntArray tokens, SequenceState after) {
    long shared = state == null ? 0 : state.cacheBytes();
    long own = after.bytes() - shared + (long) Integer.BYTES * tokens.length();
    return new PrefixNode(this, tokens, length + tokens.length(), after, own, new HashMap<>());
  }

  /** One checkpoint is not another, whatever it holds. */
  @Override
  public boolean equals(@Nullable Object other) {
    return this == other;
  }

  @Override
  public int hashCode() {
    return System.identityHashCode(this);
  }
}
