package io.github.lightning4j.minimax;

import java.util.Arrays;
import java.util.List;

/**
 * What was generated, and how fast.
 *
 * @param ids the generated tokens, without a stop token
 * @param text their text without special tokens and up to a stop string; empty without a tokenizer
 * @param promptTokens tokens of the prompt
 * @param finishReason why generation ended
 * @param prefillNanos time from the start of the prompt, or its submission, to its logits
 * @param decodeNanos time for the tokens behind the first
 */
public record GenerationResult(
    List<Integer> ids,
    String text,
    int promptTokens,
    FinishReason finishReason,
    long prefillNanos,
    long decodeNanos) {

  /** Why generation ended. */
  public enum FinishReason {
    /** A stop token, a stop string, or the end of the sentence. */
    STOP,
    /** The number of tokens asked for, or the end of the context. */
    LENGTH,
    /** It was cancelled; what came before stands. */
    CANCELLED
  }

  /** The ids as an array. */
  public int[] idArray() {
    return ids.stream().mapToInt(Integer::intValue).toArray();
  }

  /** Prompt tokens a second. */
  public double prefillTokensPerSecond() {
    return promptTokens * 1e9 / Math.max(1, prefillNanos);
  }

  /** Generated tokens a second, the first not counted: the prefill gave its logits. */
  public double decodeTokensPerSecond() {
    return Math.max(0, ids.size() - 1) * 1e9 / Math.max(1, decodeNanos);
  }

  static GenerationResult of(
      int[] ids, String text, int promptTokens, FinishReason reason, long prefill, long decode) {
    return new GenerationResult(
        Arrays.stream(ids).boxed().toList(), text, promptTokens, reason, prefill, decode);
  }
}
