package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;

/**
 * The keys and values of one sequence in one layer. Arguments are checked by the facade.
 *
 * <p>Pages before the last are full and never written again, so forks share them for good. A last,
 * partly filled page is shared too, until a holder appends to it: that holder writes to a copy.
 */
public final class PagedStore implements AutoCloseable {
  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private final PageLayout layout;
  private final StoreKernels kernels;
  private final PageTable table;
  private long length;

  /** An empty store. */
  public PagedStore(PageLayout layout, StoreKernels kernels) {
    this(layout, kernels, new PageTable(), 0);
  }

  private PagedStore(PageLayout layout, StoreKernels kernels, PageTable table, long length) {
    this.layout = layout;
    this.kernels = kernels;
    this.table = table;
    this.length = length;
  }

  /** A store of the same tokens that goes its own way from here on. */
  public PagedStore fork() {
    return new PagedStore(layout, kernels, table.share(), length);
  }

  /** Adds tokens {@code [T, kvHeads, headDim]}; if that fails, the store stays as it was. */
  public void append(Tensor k, Tensor v) {
    int pagesBefore = table.size();
    try {
      makeRoom(length + k.size(0));
      Threads.forRanges(
          k.size(0), grain(), (from, to) -> kernels.append(this, length, k, v, from, to));
    } catch (RuntimeException | Error e) {
      table.shrink(pagesBefore);
      throw e;
    }
    length += k.size(0);
  }

  /** Writes all tokens, widened to F32, to {@code [length, kvHeads, headDim]}. */
  public void read(Tensor outK, Tensor outV) {
    Threads.forRanges(length, grain(), (from, to) -> kernels.read(this, outK, outV, from, to));
  }

  /** Forgets the tokens from {@code newLength} on. */
  public void truncate(long newLength) {
    table.shrink(PageLayout.pages(newLength));
    length = newLength;
  }

  private void makeRoom(long tokens) {
    int last = table.size() - 1;
    if (tokens > length && length % PageLayout.TOKENS != 0 && table.get(last).isShared()) {
      table.replace(last, table.get(last).copy());
    }
    for (int pages = PageLayout.pages(tokens); table.size() < pages; ) {
      table.add(layout.pageBytes());
    }
  }

  private long grain() {
    return Math.max(1, GRAIN / (layout.kvHeads() * layout.row()));
  }

  /** The layout of every page. */
  public PageLayout layout() {
    return layout;
  }

  /** Tokens held. */
  public long length() {
    return length;
  }

  /** Bytes of the pages held, shared ones included. */
  public long bytes() {
    return table.size() * layout.pageBytes();
  }

  /** The address of the page addresses. */
  long tableAddress() {
    return table.address();
  }

  /** The elements of every page, laid out as {@link PageLayout} says. */
  Elements[] elements() {
    return table.elements(layout.dtype());
  }

  @Override
  public void close() {
    table.close();
  }
}
