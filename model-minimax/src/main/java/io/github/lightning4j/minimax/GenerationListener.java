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

  /** More text is certain: whole characters, none of a stop string or a special token. */
  default void onText(String text) {}
}
