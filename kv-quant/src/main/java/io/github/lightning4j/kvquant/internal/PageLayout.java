package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;

/**
 * Where the key and the value of a token lie within a page.
 *
 * <p>A page holds {@value #TOKENS} tokens: for each kv head first their keys {@code [64, row]},
 * then their values {@code [64, row]}. A row is a head of {@code headDim} elements, padded with
 * zeros to a multiple of {@value #ROW_MULTIPLE}, so that no kernel has a tail. Each block starts on
 * a border of 64 bytes. {@code page.h} says the same in C++.
 *
 * @param kvHeads heads of keys and values
 * @param headDim channels of a head
 * @param dtype the type the elements are stored in
 */
public record PageLayout(int kvHeads, int headDim, DType dtype) {
  /** Tokens of a page. */
  public static final int TOKENS = 64;

  private static final int ROW_MULTIPLE = 16;

  /** Elements from one token to the next within a head: {@code headDim} rounded up. */
  public long row() {
    return (headDim + ROW_MULTIPLE - 1L) / ROW_MULTIPLE * ROW_MULTIPLE;
  }

  /** The element at which the key of a head starts, for a token counted within its page. */
  public long key(long head, long token) {
    return (head * 2 * TOKENS + token) * row();
  }

  /** The element at which the value of a head starts, for a token counted within its page. */
  public long value(long head, long token) {
    return key(head, token + TOKENS);
  }

  /** Elements of a page, padding included. */
  public long pageElements() {
    return kvHeads * 2L * TOKENS * row();
  }

  /** Bytes of a page. */
  public long pageBytes() {
    return Math.multiplyExact(pageElements(), (long) dtype.bytes());
  }

  /** Pages that {@code tokens} tokens take. */
  public static int pages(long tokens) {
    return Math.toIntExact((tokens + TOKENS - 1) / TOKENS);
  }
}
