package io.github.lightning4j.vlmquant;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.kvquant.policy.TokenAgeing;
import io.github.lightning4j.kvquant.policy.TokenAgeing.Leaving;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import java.util.Arrays;
import java.util.BitSet;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;

/**
 * Which class each token of a cache has, and when it leaves the recent ones. One bit a token: which
 * position lies in which slot of its store follows by counting, so positions are not kept.
 */
final class TokenLedger {
  private final int window;
  private final BitSet visual = new BitSet();
  private TokenAgeing ageing;
  private boolean inPrompt;
  private long[] pivots = {};
  private long exactStart; // tokens from here on are still held exactly

  TokenLedger(int window) {
    this.window = window;
    this.ageing = new TokenAgeing(TokenPolicy.NONE.withRecentWindow(window, 1));
  }

  /** What a failed step puts back. */
  record Saved(TokenAgeing ageing, boolean inPrompt, long[] pivots) {}

  TokenLedger fork() {
    TokenLedger copy = new TokenLedger(window);
    copy.visual.or(visual);
    copy.ageing = ageing.fork();
    copy.inPrompt = inPrompt;
    copy.pivots = pivots;
    copy.exactStart = exactStart;
    return copy;
  }

  /** The state now; steps from here on work on a copy. */
  Saved save() {
    Saved saved = new Saved(ageing, inPrompt, pivots);
    ageing = ageing.fork();
    return saved;
  }

  void restore(Saved saved) {
    visual.clear(Math.toIntExact(saved.ageing.length()), Math.toIntExact(length()));
    ageing = saved.ageing;
    inPrompt = saved.inPrompt;
    pivots = saved.pivots;
  }

  /** Adds tokens, text if {@code classes} is null; tells what leaves the window. */
  Leaving append(long count, TokenClass @Nullable [] classes) {
    int first = Math.toIntExact(length());
    Math.toIntExact(first + count); // a BitSet ends there
    for (int t = 0; classes != null && t < count; t++) {
      visual.set(first + t, classes[t] == TokenClass.VISUAL);
    }
    return ageing.append(count);
  }

  void beginPrompt() {
    ageing.beginPrompt();
    inPrompt = true;
  }

  /** Whether a prompt has begun and not ended. */
  boolean inPrompt() {
    return inPrompt;
  }

  /** The prompt is complete; tells what leaves the window. */
  Leaving endPrompt(long[] found) {
    for (long token : found) {
      checkArgument(
          token >= 0 && token < length(),
          "pivots: expected 0 <= token < %s, got %s",
          length(),
          token);
    }
    long[] kept = Arrays.stream(found).filter(token -> token >= left()).toArray();
    pivots =
        LongStream.concat(Arrays.stream(pivots), Arrays.stream(kept)).sorted().distinct().toArray();
    Leaving leaving = ageing.endPrompt();
    inPrompt = false;
    return leaving;
  }

  /** What a token is once it is not recent. */
  TokenClass settled(long token) {
    if (Arrays.binarySearch(pivots, token) >= 0) {
      return TokenClass.PIVOT;
    }
    return visual.get((int) token) ? TokenClass.VISUAL : TokenClass.TEXT;
  }

  /** How many of the tokens {@code [from, to)} are of each class once they are not recent. */
  long[] counts(long from, long to) {
    long[] counts = new long[TokenClass.values().length];
    for (long token = from; token < to; token++) {
      counts[settled(token).ordinal()]++;
    }
    return counts;
  }

  /**
   * Up to where tokens have left the window once there are {@code length} and no prompt goes on.
   */
  long leftAt(long length) {
    return Math.max(left(), length - window);
  }

  /** Tokens below this are read from the store of their class by the query at a position. */
  long border(long position) {
    long aged = Math.max(exactStart, Math.min(left(), position + 1 - window));
    return Math.max(0, Math.min(aged, position + 1));
  }

  /** Queries from here on read no exact token before {@code token}. */
  void letGo(long token) {
    exactStart = Math.max(exactStart, token);
  }

  void truncate(long length) {
    visual.clear((int) length, (int) length());
    ageing.truncate(length);
    pivots = Arrays.stream(pivots).filter(token -> token < length).toArray();
    exactStart = Math.min(exactStart, length);
  }

  long length() {
    return ageing.length();
  }

  long left() {
    return ageing.left();
  }

  long exactStart() {
    return exactStart;
  }
}
