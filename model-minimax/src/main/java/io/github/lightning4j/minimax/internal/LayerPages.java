package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBytes;
import io.github.lightning4j.kvquant.policy.TokenPolicy;

/**
 * The pages that a layer's cache takes as it grows: what a step must find free before it begins.
 *
 * @param exact bytes of a page of tokens as they come
 * @param packed bytes of a page of quantized tokens; 0 where none are packed
 * @param tokens when tokens leave the window, and whether some become sinks
 */
record LayerPages(long exact, long packed, TokenPolicy tokens) {
  /** Tokens of a page. */
  private static final long PAGE = 64;

  /**
   * Of a configuration.
   *
   * @param tokens of the configuration, or by which pages are rewritten as rounded
   */
  static LayerPages of(KvCacheConfig config, TokenPolicy tokens) {
    PageBytes bytes = PageBytes.of(config);
    return new LayerPages(bytes.exact(), bytes.packed(), tokens);
  }

  private static long pages(long tokens) {
    return (tokens + PAGE - 1) / PAGE;
  }

  /** Up to where tokens have left the window, outside a prompt. */
  private long left(long length) {
    return Math.max(0, length - tokens.recentWindow()) / tokens.flush() * tokens.flush();
  }

  /** Bytes of full pages behind so many tokens that later ones leave as they are. */
  long lasting(long length, boolean rounds) {
    if (packed > 0) {
      return left(length) / PAGE * packed;
    }
    return (rounds ? left(length) : length) / PAGE * exact;
  }

  /**
   * Bytes of new pages at most.
   *
   * @param length tokens before
   * @param aged those of them that have been asked to leave the window
   * @param after tokens behind
   * @param shared whether pages not full must be copied first
   * @param rounds whether tokens that leave the window are rewritten as rounded
   */
  long needed(long length, long aged, long after, boolean shared, boolean rounds) {
    long from = left(aged);
    long to = left(after);
    if (rounds && shared && to > from) {
      return exact * (pages(after) - from / PAGE);
    }
    long bytes = exact * grown(length, after, shared);
    if (packed > 0 && to > from) {
      boolean sinks = tokens.massiveActivations() + tokens.firstTokens() > 0;
      bytes += packed * grown(from, to, shared) + (sinks ? exact : 0);
    }
    return bytes;
  }

  private static long grown(long from, long to, boolean shared) {
    return pages(to) - pages(from) + (shared && to > from && from % PAGE != 0 ? 1 : 0);
  }
}
