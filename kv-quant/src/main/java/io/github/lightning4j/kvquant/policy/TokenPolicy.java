package io.github.lightning4j.kvquant.policy;

import static com.google.common.base.Preconditions.checkArgument;

/**
 * Which tokens stay in 16 bits.
 *
 * @param massiveActivations the k of {@link MassiveActivations}: tokens of the prompt that hold one
 *     of the k greatest magnitudes of a layer's input stay for good; 0 for none
 * @param firstTokens so many tokens at the start of the sequence stay for good
 * @param recentWindow so many newest tokens stay until they are no longer among them; 0 quantizes
 *     each at once
 * @param flush tokens leave the window in runs of so many, {@code >= 1}
 * @param quantizedPrefill whether a prompt attends to its own tokens as quantized, as the paper's
 *     figures do; otherwise to the exact ones
 */
public record TokenPolicy(
    int massiveActivations,
    int firstTokens,
    int recentWindow,
    int flush,
    boolean quantizedPrefill) {
  /** No token stays. */
  public static final TokenPolicy NONE = new TokenPolicy(0, 0, 0, 1, false);

  /**
   * Checks the numbers.
   *
   * @throws IllegalArgumentException if one is negative, or flush 0
   */
  public TokenPolicy {
    checkArgument(
        massiveActivations >= 0, "massiveActivations: expected >= 0, got %s", massiveActivations);
    checkArgument(firstTokens >= 0, "firstTokens: expected >= 0, got %s", firstTokens);
    checkArgument(recentWindow >= 0, "recentWindow: expected >= 0, got %s", recentWindow);
    checkArgument(flush >= 1, "flush: expected >= 1, got %s", flush);
  }

  /** The same with the k of massive activations. */
  public TokenPolicy withMassiveActivations(int k) {
    return new TokenPolicy(k, firstTokens, recentWindow, flush, quantizedPrefill);
  }

  /** The same with so many first tokens. */
  public TokenPolicy withFirstTokens(int tokens) {
    return new TokenPolicy(massiveActivations, tokens, recentWindow, flush, quantizedPrefill);
  }

  /** The same with a window of recent tokens that leave it in runs. */
  public TokenPolicy withRecentWindow(int window, int run) {
    return new TokenPolicy(massiveActivations, firstTokens, window, run, quantizedPrefill);
  }

  /** The same with a prompt that attends to quantized tokens, or to exact ones. */
  public TokenPolicy withQuantizedPrefill(boolean quantized) {
    return new TokenPolicy(massiveActivations, firstTokens, recentWindow, flush, quantized);
  }

  /**
   * Up to where tokens have left the window of recent ones.
   *
   * <pre>left(T) = flush floor(max(0, T - recentWindow) / flush)      after T tokens</pre>
   *
   * <p>Age counts from the end of the sequence, not of a call, so a token leaves the window once,
   * and with the same neighbours, however the sequence was cut.
   */
  public long left(long length) {
    return Math.max(0, length - recentWindow) / flush * flush;
  }
}
