package io.github.lightning4j.minimax.internal;

import java.util.ArrayList;
import java.util.List;

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
   */
  public record Segment(SequenceState state, long firstRow, long rows) {}

  private final int[] ids;
  private final List<Segment> segments;

  private TokenBatch(int[] ids, List<Segment> segments) {
    this.ids = ids;
    this.segments = segments;
  }

  /** The next tokens of one sequence. */
  public static TokenBatch of(SequenceState state, int[] ids) {
    return new TokenBatch(ids, List.of(new Segment(state, 0, ids.length)));
  }

  /** One token for each of several sequences. */
  public static TokenBatch ofSteps(List<SequenceState> states, int[] ids) {
    List<Segment> segments = new ArrayList<>();
    for (int i = 0; i < ids.length; i++) {
      segments.add(new Segment(states.get(i), i, 1));
    }
    return new TokenBatch(ids, segments);
  }

  /** All token ids. */
  public int[] ids() {
    return ids;
  }

  /** The number of rows. */
  public long rows() {
    return ids.length;
  }

  /** The sequences, in the order of their rows. */
  public List<Segment> segments() {
    return segments;
  }
}
