package io.github.lightning4j.attention.internal;

import java.util.List;

/**
 * Tokens {@code [first, first + tokens)} of a batch row: one sequence, or a piece of one.
 *
 * @param row the batch row
 * @param first its first token
 * @param tokens how many
 * @param initial the entry of the initial states it starts from, -1 for zeros
 * @param last the entry of the final states its last state goes to, -1 for none
 * @param untilSnapshot after how many tokens the first snapshot is taken
 * @param snapshot the entry of the snapshots it goes to, -1 for none
 */
public record Sequence(
    long row, long first, long tokens, long initial, long last, long untilSnapshot, long snapshot) {

  /** A sequence without snapshots. */
  public Sequence(long row, long first, long tokens, long initial, long last) {
    this(row, first, tokens, initial, last, 0, -1);
  }

  /** The part of {@code length} tokens from {@code offset} on, with other states. */
  Sequence part(long offset, long length, long newInitial, long newLast, long snapshotEvery) {
    if (snapshot < 0) {
      return new Sequence(row, first + offset, length, newInitial, newLast);
    }
    long taken = offset < untilSnapshot ? 0 : (offset - untilSnapshot) / snapshotEvery + 1;
    long until = untilSnapshot + taken * snapshotEvery - offset;
    return new Sequence(row, first + offset, length, newInitial, newLast, until, snapshot + taken);
  }

  /** The same tokens where they lie elsewhere. */
  Sequence from(long newRow, long newFirst) {
    return new Sequence(newRow, newFirst, tokens, initial, last, untilSnapshot, snapshot);
  }

  /** The tokens of the longest. */
  static long longest(List<Sequence> sequences) {
    return sequences.stream().mapToLong(Sequence::tokens).max().orElse(0);
  }

  /** The tokens of all. */
  static long total(List<Sequence> sequences) {
    return sequences.stream().mapToLong(Sequence::tokens).sum();
  }
}
