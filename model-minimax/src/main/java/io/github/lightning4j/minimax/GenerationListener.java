package io.github.lightning4j.minimax;

/** Told what is generated while it is; called on the generating thread. */
public interface GenerationListener {
  /** Hears nothing. */
  GenerationListener NONE = new GenerationListener() {};

  /**
   * More of the prompt has been read.
   *
   * @param done tokens so far
   * @param total tokens of the prompt
   */
  default void onPrefill(long done, long total) {}

  /** A token was generated; stop tokens are not told. */
  default void onToken(int id) {}

  /**
   * Some tokens were guessed, see {@link GenerationOptions#promptLookup}.
   *
   * @param guessed tokens read with the one that was certain
   * @param accepted how many of them were right
   */
  default void onGuess(int guessed, int accepted) {}

  /**
   * Asked before each chunk of the prompt, after each token, and on the CPU every few milliseconds
   * in between: whether to end here. Has to be quick. The result tells what there is.
   *
   * <p>Within a step it is asked only where the session is the generator's own; a session of the
   * caller's has read whole chunks, and may be used on. In a {@link GenerationQueue} a step ends
   * early once all that take part in it are cancelled.
   */
  default boolean isCancelled() {
    return false;
  }

  /** More text is certain: whole characters, none of a stop string or a special token. */
  default void onText(String text) {}
}
