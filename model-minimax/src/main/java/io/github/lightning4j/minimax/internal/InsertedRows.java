package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.vlmquant.TokenClass;
import java.util.Arrays;
import java.util.function.BiConsumer;

/**
 * Rows that stand where the embeddings of tokens would: those of pictures.
 *
 * @param positions of the tokens in their sequence, ascending
 * @param rows {@code [positions, H]} F32
 */
public record InsertedRows(long[] positions, Tensor rows) {
  /**
   * Writes the rows of a stretch of the sequence over what was looked up.
   *
   * @param stream of a batch, {@code [R, H]}
   * @param firstRow where the stretch begins in it
   * @param position where it begins in the sequence
   * @param count its tokens
   */
  public void copyTo(Tensor stream, long firstRow, long position, long count) {
    forEachRun(
        position,
        count,
        (at, from) -> stream.narrow(0, firstRow + at, from.size(0)).copyFrom(from));
  }

  /**
   * Tells of the rows that stand in a stretch of the sequence, those behind one another together.
   *
   * @param position where the stretch begins in the sequence
   * @param count its tokens
   * @param run gets where in the stretch some of the rows stand, and these
   */
  public void forEachRun(long position, long count, BiConsumer<Long, Tensor> run) {
    int end = index(position + count);
    for (int i = index(position); i < end; ) {
      int length = 1;
      while (i + length < end && positions[i + length] == positions[i] + length) {
        length++;
      }
      run.accept(positions[i] - position, rows.narrow(0, i, length));
      i += length;
    }
  }

  /** The classes of the tokens of a stretch: VISUAL where rows stand for them. */
  TokenClass[] classes(long position, long count) {
    TokenClass[] classes = new TokenClass[Math.toIntExact(count)];
    Arrays.fill(classes, TokenClass.TEXT);
    int end = index(position + count);
    for (int i = index(position); i < end; i++) {
      classes[(int) (positions[i] - position)] = TokenClass.VISUAL;
    }
    return classes;
  }

  /** The first that is not before a position. */
  private int index(long position) {
    int at = Arrays.binarySearch(positions, position);
    return at < 0 ? -at - 1 : at;
  }
}
