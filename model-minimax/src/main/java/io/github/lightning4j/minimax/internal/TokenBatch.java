package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Recording;
import io.github.lightning4j.core.Threads;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * The tokens of one forward pass: those of several sequences, one behind the other, without
 * padding. Linear layers see all rows at once; attention sees each sequence by itself.
 */
public final class TokenBatch {
  /**
   * The rows of one sequence.
   *
   * @param state what came before
   * @param firstRow its first row in the batch
   * @param rows how many
   * @param drafts where rows that may be wrong are kept, which leave the state for {@link
   *     ForwardPass#commit}; null: all rows count
   */
  public record Segment(SequenceState state, long firstRow, long rows, @Nullable Drafts drafts) {
    /** The rows, from the last one back, whose logits are of use. */
    public long logitRows() {
      return drafts == null ? 1 : rows;
    }
  }

  private final List<int[]> ids = new ArrayList<>();
  private final List<Segment> segments = new ArrayList<>();
  private long rows;

  /** A batch without tokens. */
  public TokenBatch() {}

  /** The next tokens of one sequence. */
  public static TokenBatch of(SequenceState state, int[] ids) {
    return new TokenBatch().add(state, ids, null);
  }

  /** Appends the next tokens of a sequence that has none in this batch. */
  public TokenBatch add(SequenceState state, int[] tokens, @Nullable Drafts drafts) {
    ids.add(tokens);
    segments.add(new Segment(state, rows, tokens.length, drafts));
    rows += tokens.length;
    return this;
  }

  /** The token ids of each sequence, in the order of their rows. */
  public List<int[]> ids() {
    return ids;
  }

  /** The number of rows. */
  public long rows() {
    return rows;
  }

  /** The sequences, in the order of their rows. */
  public List<Segment> segments() {
    return segments;
  }

  /**
   * Calls {@code attend} for every sequence. Where single tokens are as many as threads, each
   * thread takes some of them, since one is too little work to be split; all else goes one after
   * another with all threads.
   */
  void forEachSegment(Consumer<Segment> attend) {
    List<Segment> single = new ArrayList<>();
    for (Segment segment : segments) {
      if (segment.rows() == 1) {
        single.add(segment);
      } else {
        attend.accept(segment);
      }
    }
    if (single.size() < Threads.count() || Recording.isActive()) {
      single.forEach(attend);
      return;
    }
    Threads.forRanges(
        single.size(),
        1,
        (from, to) -> {
          for (long i = from; i < to; i++) {
            attend.accept(single.get((int) i));
          }
        });
  }
}
