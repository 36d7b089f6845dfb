package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;

/**
 * Where the key and the value of a token lie within a page.
 *
 * <p>A page holds n tokens, {@value #TOKENS} or {@value #FEW}: for each kv head first their keys
 * {@code [n, row]}, then their values {@code [n, row]}. A row is a head of {@code headDim}
 * elements, padded with zeros to a multiple of {@value #ROW_MULTIPLE}, so that no kernel has a
 * tail. Each block starts on a border of 64 bytes. {@code page.h} says the same in C++.
 *
 * @param kvHeads heads of keys and values
 * @param headDim channels of a head
 * @param dtype the type the elements are stored in
 * @param tokens of a page
 */
public record PageLayout(int kvHeads, int headDim, DType dtype, int tokens) {
  /** Tokens of a packed page, and of an exact one as a rule; the softmax takes as many at once. */
  public static final int TOKENS = 64;

  /** Tokens of an exact page where slots that wait must be few. */
  public static final int FEW = 16;

  private static final int ROW_MULTIPLE = 16;

  /** Elements from one token to the next within a head: {@code headDim} rounded up. */
  public long row() {
    return (headDim + ROW_MULTIPLE - 1L) / ROW_MULTIPLE * ROW_MULTIPLE;
  }

  /** The element at which the key of a head starts, for a token counted within its page. */
  public long key(long head, long token) {
    return (head * 2 * tokens + token) * row();
  }

  /** The element at which the value of a head starts, for a token counted within its page. */
  public long value(long head, long token) {
    return key(head, token + tokens);
  }

  /** Elements of a page, padding included. */
  public long pageElements() {
    return kvHeads * 2L * tokens * row();
  }

  /** Bytes of a page. */
  public long pageBytes() {
    return Math.multiplyExact(pageElements(), (long) dtype.bytes());
  }

  /** The last position up to {@code position} at which a page begins. */
  public long start(long position) {
    return position / tokens * tokens;
  }

  /** Pages of this layout that {@code count} tokens take. */
  public long pagesOf(long count) {
    return (count + tokens - 1) / tokens;
  }

  /** Packed pages that {@code count} tokens take. */
  public static int pages(long count) {
    return Math.toIntExact((count + TOKENS - 1) / TOKENS);
  }
}
