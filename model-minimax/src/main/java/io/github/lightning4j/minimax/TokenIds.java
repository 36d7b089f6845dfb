package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

/** What can be said of tokens before a model reads them. */
final class TokenIds {
  private TokenIds() {}

  /**
   * Checks that they can be read behind {@code position} others.
   *
   * @throws IllegalArgumentException if there are none, one is outside the vocabulary, or they do
   *     not fit the context
   */
  static void check(MiniMaxConfig config, long position, int[] ids) {
    checkArgument(ids.length > 0, "ids: expected at least one token, got an empty prompt");
    int vocabulary = config.vocabSize();
    for (int i = 0; i < ids.length; i++) {
      checkArgument(
          ids[i] >= 0 && ids[i] < vocabulary,
          "ids[%s]: expected 0 <= id < %s (the vocabulary), got %s",
          i,
          vocabulary,
          ids[i]);
    }
    long context = config.maxPositions();
    checkArgument(
        position + ids.length <= context,
        "ids: %s tokens after %s do not fit the context of %s",
        ids.length,
        position,
        context);
  }
}
