package io.github.lightning4j.minimax;

import java.util.Arrays;

/**
 * Guesses what comes next: what followed the last tokens where they stood before. The longest match
 * of {@value #LONGEST} to {@value #SHORTEST} tokens wins, then the latest. Cost: one look at the
 * text.
 *
 * <p>Source: prompt lookup decoding (Saxena 2023), the drafts of "Inference with Reference" (arXiv
 * 2304.04487) without a reference of their own.
 */
final class PromptLookup {
  private static final int LONGEST = 3;
  private static final int SHORTEST = 2;

  private PromptLookup() {}

  /**
   * Guesses.
   *
   * @param ids the text is the first {@code count} of them
   * @param most tokens wanted
   * @return up to {@code most} tokens, none where the last ones are new
   */
  static int[] guess(int[] ids, int count, int most) {
    for (int length = LONGEST; length >= SHORTEST && most > 0; length--) {
      for (int end = count - 1; end >= length; end--) {
        if (Arrays.equals(ids, end - length, end, ids, count - length, count)) {
          return Arrays.copyOfRange(ids, end, Math.min(count, end + most));
        }
      }
    }
    return new int[0];
  }
}
