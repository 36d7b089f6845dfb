package io.github.lightning4j.minimax.internal;

/**
 * What has to be kept of drafted tokens of one sequence, {@value #MAX_TOKENS} at most, until it is
 * known how many of them are right.
 */
public interface Drafts extends AutoCloseable {
  /**
   * The most tokens of a step that are verified together. Up to this many rows, products and
   * experts give each row the bits it has alone.
   */
  int MAX_TOKENS = 16;

  /** The logits {@code [V]} after a drafted token. */
  float[] logits(int row);

  @Override
  void close();
}
