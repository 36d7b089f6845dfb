package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.PageLayout;
import java.util.Arrays;

/**
 * Which pages the sequences of a GPU hold, of a number that is fixed from the start. The numbers of
 * pages are the same in the {@link CudaKvCache} of every layer, so one of these serves all layers
 * of a model.
 *
 * <p>The host gives pages out ahead of a step ({@link #reserve}) and sends what has changed ({@link
 * #publish}); kernels read the table when they run, so a graph that was recorded once goes on as
 * sequences grow, end and begin. Nothing here waits for the GPU: pages that were let go may be
 * given out again at once, since work on one stream is done in its order. With several streams,
 * order them by events.
 *
 * <p>Not thread-safe. After {@link #close} all throws {@link IllegalStateException}.
 */
public final class CudaKvPages implements AutoCloseable {
  /** Tokens of a page. */
  public static final int PAGE_TOKENS = PageLayout.TOKENS;

  private static final int NONE = -1;

  private final CudaDevice device;
  private final int sequences;
  private final int pagesEach;
  private final MemoryScope scope = new MemoryScope();
  private final Tensor table;
  private final Tensor host;
  private final int[] free;
  private final int[] holders;
  private final int[] first;
  private final int[] end;
  private final int[] changedFrom;
  private final int[] changedTo;
  private int freeCount;
  private long pageBytes;
  private boolean closed;

  private CudaKvPages(CudaDevice device, int sequences, int pagesEach, int pages) {
    this.device = device;
    this.sequences = sequences;
    this.pagesEach = pagesEach;
    long entries = (long) sequences * pagesEach;
    host = scope.add(Tensor.allocate(DType.I32, sequences, pagesEach));
    free = new int[pages];
    holders = new int[pages];
    try {
      table =
          scope.add(
              Tensor.wrap(
                  CudaMemory.allocate(device, entries * Integer.BYTES),
                  0,
                  DType.I32,
                  sequences,
                  pagesEach));
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
    for (long i = 0; i < entries; i++) {
      host.accessor().setLong(i, NONE);
    }
    for (int i = 0; i < pages; i++) {
      free[i] = pages - 1 - i;
    }
    freeCount = pages;
    first = new int[sequences];
    end = new int[sequences];
    changedFrom = new int[sequences];
    changedTo = new int[sequences];
    Arrays.fill(changedTo, pagesEach);
  }

  /**
   * Pages of which none is given out.
   *
   * @param sequences how many sequences there may be at once
   * @param tokensEach the most tokens of one
   * @param pages how many there are for all of them, each of {@value #PAGE_TOKENS} tokens
   * @throws IllegalArgumentException if one of them is less than 1
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the table does not fit
   */
  public static CudaKvPages create(CudaDevice device, int sequences, long tokensEach, int pages) {
    checkArgument(sequences >= 1, "sequences: expected >= 1, got %s", sequences);
    checkArgument(
        tokensEach >= 1 && tokensEach <= Integer.MAX_VALUE - PAGE_TOKENS,
        "tokensEach: expected 1 to %s, got %s",
        Integer.MAX_VALUE - PAGE_TOKENS,
        tokensEach);
    checkArgument(pages >= 1, "pages: expected >= 1, got %s", pages);
    return new CudaKvPages(device, sequences, PageLayout.pages(tokensEach), pages);
  }

  /**
   * Sees to pages for the tokens of a sequence up to a length; those it has stay.
   *
   * @throws PageBudgetException if too few are left; none is given out then
   * @throws IllegalArgumentException if there is no such sequence, or it would be too long
   */
  public void reserve(int sequence, long tokens) {
    checkSequence(sequence);
    checkArgument(
        tokens >= 0 && tokens <= tokensEach(),
        "tokens: expected 0 to %s, got %s",
        tokensEach(),
        tokens);
    int wanted = PageLayout.pages(tokens) - end[sequence];
    if (wanted > freeCount) {
      long used = (long) (free.length - freeCount) * bytes();
      throw new PageBudgetException(wanted * bytes(), used, free.length * bytes());
    }
    for (int i = 0; i < wanted; i++) {
      hold(sequence, end[sequence]++, free[--freeCount]);
    }
  }

  /**
   * Lets a sequence that has no pages hold those of another that are full of its first tokens, as a
   * fork does: nothing writes to them any more. They are free again when the last holder has let
   * go.
   *
   * @param tokens of the other; those in a page that is not full are left out
   * @throws IllegalArgumentException if there is no such sequence, they are the same, or the second
   *     has pages
   */
  public void share(int from, int to, long tokens) {
    checkSequence(from);
    checkSequence(to);
    checkArgument(
        from != to && end[to] == 0, "to: expected another sequence, without pages, got %s", to);
    first[to] = first[from];
    end[to] = first[from];
    int full = (int) Math.min(tokens / PAGE_TOKENS, end[from]);
    while (end[to] < full) {
      hold(to, end[to], page(from, end[to]));
      end[to]++;
    }
  }

  /** Whether {@link #reserve} would find pages. */
  public boolean fits(int sequence, long tokens) {
    checkSequence(sequence);
    return tokens <= tokensEach() && PageLayout.pages(tokens) - end[sequence] <= freeCount;
  }

  /**
   * Lets go of the pages whose tokens all lie before one, for instance of those that have left the
   * window of a cache that quantizes. Where there are none yet, none are given out for them.
   */
  public void dropBefore(int sequence, long token) {
    checkSequence(sequence);
    int before = (int) Math.min(token / PAGE_TOKENS, pagesEach);
    while (first[sequence] < end[sequence] && first[sequence] < before) {
      giveBack(sequence, first[sequence]++);
    }
    first[sequence] = Math.max(first[sequence], before);
    end[sequence] = Math.max(end[sequence], before);
  }

  /** Lets go of all pages of a sequence, in whose place another one may begin. */
  public void release(int sequence) {
    checkSequence(sequence);
    while (end[sequence] > first[sequence]) {
      giveBack(sequence, --end[sequence]);
    }
    first[sequence] = 0;
    end[sequence] = 0;
  }

  /**
   * Puts copies of what has changed on a stream, ahead of the work that is to see it. Not part of a
   * graph.
   */
  public void publish(CudaStream stream) {
    open();
    for (int sequence = 0; sequence < sequences; sequence++) {
      int from = changedFrom[sequence];
      int count = changedTo[sequence] - from;
      if (count > 0) {
        stream.copy(
            host.select(0, sequence).narrow(0, from, count),
            table.select(0, sequence).narrow(0, from, count));
        changedFrom[sequence] = pagesEach;
        changedTo[sequence] = 0;
      }
    }
  }

  /** The number of a sequence's page; -1 where it has none. */
  int page(int sequence, int index) {
    checkSequence(sequence);
    return (int) host.accessor().getLong((long) sequence * pagesEach + index);
  }

  private void hold(int sequence, int index, int page) {
    holders[page]++;
    put(sequence, index, page);
  }

  private void giveBack(int sequence, int index) {
    int page = page(sequence, index);
    if (--holders[page] == 0) {
      free[freeCount++] = page;
    }
    put(sequence, index, NONE);
  }

  private void put(int sequence, int index, int page) {
    host.accessor().setLong((long) sequence * pagesEach + index, page);
    changedFrom[sequence] = Math.min(changedFrom[sequence], index);
    changedTo[sequence] = Math.max(changedTo[sequence], index + 1);
  }

  private void checkSequence(int sequence) {
    open();
    checkArgument(
        sequence >= 0 && sequence < sequences,
        "sequence: expected 0 <= sequence < %s, got %s",
        sequences,
        sequence);
  }

  /** The device. */
  public CudaDevice device() {
    return device;
  }

  /** How many sequences there may be at once. */
  public int sequences() {
    return sequences;
  }

  /** The most tokens of one, in whole pages. */
  public long tokensEach() {
    return (long) pagesEach * PAGE_TOKENS;
  }

  /** How many pages there are. */
  public int pages() {
    return free.length;
  }

  /** How many of them are not given out. */
  public int freePages() {
    return freeCount;
  }

  /** Bytes of the pages of a sequence in all caches on these pages, shared ones included. */
  public long bytes(int sequence) {
    checkSequence(sequence);
    return (end[sequence] - first[sequence]) * pageBytes;
  }

  /** A page's bytes in all caches on these pages. */
  private long bytes() {
    return Math.max(1, pageBytes);
  }

  /** A cache has so many bytes for each page. */
  void count(long bytes) {
    pageBytes += bytes;
  }

  /** {@code [sequences, pages]} I32 on the device; -1 where there is no page. */
  Tensor table() {
    return open().table;
  }

  private CudaKvPages open() {
    checkState(!closed, "pages are closed");
    return this;
  }

  /**
   * Lets go of the table. Caches on these pages are closed before.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    open();
    closed = true;
    scope.close();
  }
}
