package io.github.lightning4j.minimax;

/** Told how far something long has come; called on the thread that does the work. */
@FunctionalInterface
public interface ProgressListener {
  /** Hears nothing. */
  ProgressListener NONE = (done, total) -> {};

  /**
   * Some more is done.
   *
   * @param done tokens or tensors so far
   * @param total how many there are
   */
  void progress(long done, long total);
}
