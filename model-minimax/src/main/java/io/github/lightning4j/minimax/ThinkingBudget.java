package io.github.lightning4j.minimax;

import io.github.lightning4j.minimax.text.Tokenizer;
import java.nio.charset.StandardCharsets;

/**
 * Counts the tokens inside a {@code <think>} block and, when there are too many, gives those that
 * close it. The tags are found in the bytes of the tokens, so it does not matter how they are cut.
 */
final class ThinkingBudget {
  private static final String OPEN = "<think>";
  private static final String CLOSE = "</think>";

  private final Tokenizer tokenizer;
  private final int budget;
  private final StringBuilder tail = new StringBuilder();
  private boolean inside;
  private boolean closing;
  private int spent;

  ThinkingBudget(Tokenizer tokenizer, int budget, int[] prompt) {
    this.tokenizer = tokenizer;
    this.budget = budget;
    for (int id : prompt) {
      accept(id);
    }
    spent = 0;
  }

  /** The tokens to force next, if any: given once for each block. */
  int[] closing() {
    if (!inside || closing || spent < budget) {
      return new int[0];
    }
    closing = true;
    return tokenizer.encode(CLOSE + "\n\n");
  }

  /** Counts a token, and sees where a block begins and ends. */
  void accept(int id) {
    if (id >= tokenizer.vocabularySize()) {
      return;
    }
    // One char a byte: the tags are ASCII, other text need not be whole.
    tail.append(new String(tokenizer.bytes(id), StandardCharsets.ISO_8859_1));
    if (inside) {
      spent++;
    }
    int open = tail.lastIndexOf(OPEN);
    int close = tail.lastIndexOf(CLOSE);
    if (open >= 0 || close >= 0) {
      boolean before = inside;
      inside = open > close;
      closing &= inside;
      if (inside && !before) {
        spent = 0;
      }
      tail.delete(0, Math.max(open, close) + 1);
    }
    int keep = CLOSE.length() - 1;
    if (tail.length() > keep) {
      tail.delete(0, tail.length() - keep);
    }
  }
}
