package io.github.lightning4j.minimax;

import org.jspecify.annotations.Nullable;

/**
 * A sequence on its way through a {@link PrefixCache}: the last checkpoint it came by or left. Ends
 * where that was dropped, or where another sequence left the next one: its pages are others.
 */
final class PrefixPath {
  private final PrefixCache cache;
  private @Nullable PrefixNode at;

  PrefixPath(PrefixCache cache, PrefixNode at) {
    this.cache = cache;
    this.at = at;
  }

  /** Where its sequence begins that is to read its tokens once more. */
  SequenceStart again(int[] ids) {
    return cache.beginAgain(ids);
  }

  /** Tokens from position {@code read} to the next place for a checkpoint. */
  int tokensToBorder(int read) {
    return cache.every() - read % cache.every();
  }

  /** Leaves a checkpoint where there is place for one: after the first {@code read} ids. */
  void reached(Session session, int[] ids, int read) {
    if (at != null && read == at.length() + cache.every()) {
      at = cache.add(at, session, ids, read);
    }
  }
}
