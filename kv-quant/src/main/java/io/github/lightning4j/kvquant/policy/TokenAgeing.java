package io.github.lightning4j.kvquant.policy;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import java.util.ArrayList;
import java.util.List;
import java.util.NavigableSet;
import java.util.TreeSet;

/**
 * Tells a store which tokens to quantize when. It holds no data: only how many tokens there are, up
 * to where they have left the window of recent ones, and which of those stay in 16 bits as sinks.
 *
 * <pre>left(T) = flush floor(max(0, T - recentWindow) / flush)      after T tokens</pre>
 *
 * <p>Age counts from the end of the sequence, not of a call, so a token leaves the window exactly
 * once, and with the same neighbours, however the sequence was cut into appends. While a prompt is
 * staged ({@link #beginPrompt} to {@link #endPrompt}) nothing leaves, and sinks may still be found
 * anywhere in it. Without staging a token found to be a sink after it was quantized stays
 * quantized; one that is no longer a sink is quantized late: tokens lose bits, they never regain
 * them.
 *
 * <p>Not thread-safe.
 */
public final class TokenAgeing {
  /**
   * Tokens that leave the window now, {@code [from, to)}. Those of them that are {@linkplain
   * #isSink sinks} stay in 16 bits.
   *
   * @param from the first
   * @param to one past the last
   */
  public record Leaving(long from, long to) {
    /** How many there are. */
    public long count() {
      return to - from;
    }
  }

  private final TokenPolicy policy;
  private final NavigableSet<Long> sinks = new TreeSet<>();
  private long length;
  private long left;
  private boolean staged;

  /** Of an empty sequence. */
  public TokenAgeing(TokenPolicy policy) {
    this.policy = policy;
  }

  /** The same state, which goes its own way from here on. */
  public TokenAgeing fork() {
    var copy = new TokenAgeing(policy);
    copy.sinks.addAll(sinks);
    copy.length = length;
    copy.left = left;
    copy.staged = staged;
    return copy;
  }

  /** The number of tokens. */
  public long length() {
    return length;
  }

  /** Tokens {@code [0, left())} have left the window; those from there on are in 16 bits. */
  public long left() {
    return left;
  }

  /** Whether a token stays in 16 bits when it leaves the window. */
  public boolean isSink(long token) {
    return token < policy.firstTokens() || sinks.contains(token);
  }

  /**
   * From here on tokens belong to a prompt whose sinks are not known: nothing leaves the window.
   *
   * @throws IllegalStateException if a prompt has begun already
   */
  public void beginPrompt() {
    checkState(!staged, "a prompt has begun already; end it first");
    staged = true;
  }

  /**
   * The prompt is complete and its sinks are {@linkplain #sinks(long[]) told}.
   *
   * @return what leaves the window now
   * @throws IllegalStateException if no prompt has begun
   */
  public Leaving endPrompt() {
    checkState(staged, "no prompt has begun");
    staged = false;
    return leave();
  }

  /**
   * Adds tokens at the end.
   *
   * @return what leaves the window now
   * @throws IllegalArgumentException if their number is negative
   */
  public Leaving append(long tokens) {
    checkArgument(tokens >= 0, "tokens: expected >= 0, got %s", tokens);
    length += tokens;
    return leave();
  }

  private Leaving leave() {
    long from = left;
    if (!staged) {
      long old = Math.max(0, length - policy.recentWindow());
      left = Math.max(left, old / policy.flush() * policy.flush());
    }
    return new Leaving(from, left);
  }

  /**
   * Replaces the sinks found so far. Tokens that were quantized already are passed over.
   *
   * @param tokens all sinks of the sequence, in any order
   * @return former sinks that have left the window and must be quantized now, ascending
   * @throws IllegalArgumentException if a token is not in the sequence
   */
  public List<Long> sinks(long[] tokens) {
    NavigableSet<Long> wanted = new TreeSet<>();
    for (long token : tokens) {
      checkArgument(
          token >= 0 && token < length, "tokens: expected 0 <= token < %s, got %s", length, token);
      if (token >= left || isSink(token)) {
        wanted.add(token);
      }
    }
    List<Long> demoted = new ArrayList<>();
    for (long token : sinks) {
      if (token < left && token >= policy.firstTokens() && !wanted.contains(token)) {
        demoted.add(token);
      }
    }
    sinks.clear();
    sinks.addAll(wanted);
    return demoted;
  }

  /**
   * Forgets the tokens from {@code newLength} on. Those that are left keep the bits they have.
   *
   * @throws IllegalArgumentException unless {@code 0 <= newLength <= length()}
   */
  public void truncate(long newLength) {
    checkArgument(
        newLength >= 0 && newLength <= length,
        "newLength: expected 0 to %s, got %s",
        length,
        newLength);
    length = newLength;
    left = Math.min(left, newLength);
    sinks.tailSet(newLength).clear();
  }
}
