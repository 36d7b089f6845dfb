package io.github.lightning4j.minimax;

/**
 * Where weights lie that are held as the checkpoint stores them.
 *
 * <p>A mapped file is there at once and is shared between processes, but most systems give it pages
 * of 4 KiB only: each walk through the page table costs as much as a cache line, and a decode step
 * then reads a third slower than from the large pages that memory of our own gets.
 */
public enum WeightPlacement {
  /**
   * {@link #COPIED} if all weights fit half of the memory that is left and the system grants it,
   * {@link #MAPPED} if not.
   */
  AUTO,
  /** In memory of our own, copied while loading; the pages of the file are given back. */
  COPIED,
  /** In the mapped file, read when first used. */
  MAPPED
}
