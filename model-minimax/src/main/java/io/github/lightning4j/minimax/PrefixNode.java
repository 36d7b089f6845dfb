package io.github.lightning4j.minimax;

import com.google.common.primitives.ImmutableIntArray;
import io.github.lightning4j.minimax.internal.SequenceState;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** A checkpoint of a {@link PrefixCache}, or the start of all sequences, which has no state. */
final class PrefixNode {
  private final @Nullable PrefixNode parent;
  private final ImmutableIntArray block;
  private final int length;
  private final @Nullable SequenceState state;
  private final long bytes;
  private final Map<ImmutableIntArray, PrefixNode> children = new HashMap<>();

  private PrefixNode(
      @Nullable PrefixNode parent,
      ImmutableIntArray block,
      int length,
      @Nullable SequenceState state,
      long bytes) {
    this.parent = parent;
    this.block = block;
    this.length = length;
    this.state = state;
    this.bytes = bytes;
  }

  static PrefixNode start() {
    return new PrefixNode(null, ImmutableIntArray.of(), 0, null, 0);
  }

  /** A checkpoint behind this one, not yet among its children. */
  PrefixNode next(ImmutableIntArray tokens, SequenceState after) {
    long own = bytesOf(tokens, after);
    return new PrefixNode(this, tokens, length + tokens.length(), after, own);
  }

  /** What a checkpoint behind this one takes beside it. */
  long bytesOf(ImmutableIntArray tokens, SequenceState after) {
    long shared = state == null ? 0 : state.memory().lastingBytes();
    return after.memory().bytes() - shared + (long) Integer.BYTES * tokens.length();
  }

  /** What this checkpoint and all before it take. */
  long bytesOfLine() {
    long sum = 0;
    for (PrefixNode node = this; node != null; node = node.parent) {
      sum += node.bytes;
    }
    return sum;
  }

  /** The checkpoint before, whose pages it shares; null at the start. */
  @Nullable PrefixNode parent() {
    return parent;
  }

  /** The tokens from the checkpoint before to this one. */
  ImmutableIntArray block() {
    return block;
  }

  /** Tokens from the start. */
  int length() {
    return length;
  }

  /** The state after them; null at the start. */
  @Nullable SequenceState state() {
    return state;
  }

  /** What is freed with it. */
  long bytes() {
    return bytes;
  }

  /** The checkpoints behind it, by their tokens. */
  Map<ImmutableIntArray, PrefixNode> children() {
    return children;
  }
}
