package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCacheConfig;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The keys and values of one sequence in one layer. Arguments are checked by the facade.
 *
 * <p>Tokens come into exact pages; those that leave the window go, once, to packed pages or to the
 * page of {@link Sinks}. Without a window they are packed as they come. Exact pages that no query
 * reads any more are let go by the next append, or sooner by {@link #trim}. Full pages are never
 * written again, so forks share them for good. A partly filled one is shared too, until a holder
 * appends to it: that holder writes to a copy.
 */
public final class PagedStore implements AutoCloseable {
  /** Elements below which one thread is faster than two. */
  private static final long GRAIN = 1 << 14;

  private final MemoryScope parts = new MemoryScope();
  private final CacheFormat format;
  private final StoreKernels kernels;
  private final ExactPages exact;
  private final PageTable packed;
  private final Sinks sinks;
  private final @Nullable KeyConstants constants;
  private final CacheCall call;
  private long length;
  private long exactStart; // tokens from here on are in exact pages
  private long left; // tokens before this have left the window
  private boolean prompt; // nothing leaves

  /** An empty store. */
  public PagedStore(KvCacheConfig config, PageLedger ledger, StoreKernels kernels) {
    this.format = CacheFormat.of(config);
    this.kernels = kernels;
    try {
      this.exact = parts.add(new ExactPages(format.exact(), ledger));
      this.packed = parts.add(new PageTable(ledger));
      this.sinks = parts.add(new Sinks(format.exact().pageBytes(), ledger));
      this.constants =
          config.keyBasis() == null ? null : parts.add(KeyConstants.of(config.keyBasis()));
      this.call = parts.add(new CacheCall(this));
    } catch (RuntimeException | Error e) {
      parts.close();
      throw e;
    }
  }

  private PagedStore(PagedStore other) {
    format = other.format;
    kernels = other.kernels;
    try {
      exact = parts.add(other.exact.share());
      packed = parts.add(other.packed.share());
      sinks = parts.add(other.sinks.share());
      constants = other.constants == null ? null : parts.add(other.constants.share());
      call = parts.add(new CacheCall(this));
    } catch (RuntimeException | Error e) {
      parts.close();
      throw e;
    }
    length = other.length;
    exactStart = other.exactStart;
    left = other.left;
    prompt = other.prompt;
  }

  /** A store of the same tokens that goes its own way from here on. */
  public PagedStore fork() {
    return new PagedStore(this);
  }

  /** From here on nothing leaves the window. */
  public void beginPrompt() {
    checkState(!prompt, "a prompt has begun already; end it first");
    prompt = true;
  }

  /** The prompt is complete: its sinks are known, and all others leave the window that must. */
  public void endPrompt(long... tokens) {
    checkState(prompt, "no prompt has begun");
    for (long token : tokens) {
      checkArgument(
          token >= 0 && token < length, "sinks: expected 0 <= token < %s, got %s", length, token);
    }
    if (format.quantizes()) {
      sinks.add(Arrays.stream(tokens).filter(token -> token >= left).toArray());
    }
    long leaving = Math.max(left, format.left(length));
    reservePacked(leaving);
    prompt = false;
    age(leaving);
    if (format.window() == 0) { // else the prompt's queries may be still to come
      letGo(length);
    }
  }

  /** Lets go of exact pages that only queries of tokens before the last read. */
  public void trim() {
    letGo(length);
    if (!prompt && format.quantizes() && exactStart == length) {
      exact.restart(length);
    }
  }

  /** Adds tokens {@code [T, kvHeads, headDim]}; if that fails, the store stays as it was. */
  public void append(Tensor k, Tensor v) {
    long count = k.size(0);
    long newLength = length + count;
    if (format.quantizes()) {
      FiniteRows.check(format.config(), kernels, "key", k, length);
      FiniteRows.check(format.config(), kernels, "value", v, length);
    }
    int exactBefore = exact.table().size();
    int packedBefore = packed.size();
    boolean atOnce = !prompt && left == length && format.packsAtOnce();
    long leaving = prompt ? left : Math.max(left, format.left(newLength));
    try {
      markFirst(newLength);
      if (!atOnce) {
        exact.reserve(length, newLength);
      }
      reservePacked(leaving);
      call.append(k, v, atOnce);
    } catch (RuntimeException | Error e) {
      sinks.truncate(length);
      exact.table().shrink(exactBefore);
      packed.shrink(packedBefore);
      throw e;
    }
    length = newLength;
    if (atOnce) {
      left = newLength;
      exact.restart(newLength);
    }
    age(leaving);
    letGo(newLength - count);
  }

  private void markFirst(long newLength) {
    int first = format.quantizes() ? format.config().tokens().firstTokens() : 0;
    for (long token = length; token < Math.min(first, newLength); token++) {
      sinks.add(token);
    }
  }

  private void reservePacked(long leaving) {
    if (leaving > left && left % PageLayout.TOKENS != 0) {
      packed.own(packed.size() - 1);
    }
    if (sinks.any(left, leaving)) {
      sinks.own();
    }
    while (packed.size() < PageLayout.pages(leaving)) {
      packed.add(format.packedBytes());
    }
  }

  private void age(long leaving) {
    if (leaving > left) {
      call.age(leaving);
      left = leaving;
    }
  }

  /** Lets go of exact pages that no query from {@code firstQuery} on reads. */
  private void letGo(long firstQuery) {
    if (prompt || !format.quantizes()) {
      return;
    }
    long wanted =
        format.window() == 0 ? left : Math.min(left, format.left(Math.min(length, firstQuery + 1)));
    exactStart = Math.max(exactStart, wanted);
    exact.dropTo(exactStart);
  }

  /** Writes the tokens from {@code first} on, widened to F32, to {@code [T, kvHeads, headDim]}. */
  public void read(long first, Tensor outK, Tensor outV) {
    call.read(first, outK, outV);
  }

  /**
   * Lets go of the whole pages among the first tokens. The others move up by whole 64s, so that
   * sums keep their order. Exact stores only.
   */
  public long dropFirst(long tokens) {
    exact.dropTo(tokens);
    long moved = exact.first() / PageLayout.TOKENS * PageLayout.TOKENS;
    exact.moveBack(moved);
    length -= moved;
    return moved;
  }

  /** Tokens before this are let go for good. */
  public long firstHeld() {
    return format.quantizes() ? 0 : exact.first();
  }

  /** Forgets the tokens from {@code newLength} on. */
  public void truncate(long newLength) {
    length = newLength;
    left = Math.min(left, newLength);
    exactStart = Math.min(exactStart, newLength);
    sinks.truncate(newLength);
    packed.shrink(PageLayout.pages(left));
    exact.truncate(newLength);
  }

  long grain() {
    return Math.max(1, GRAIN / (format.exact().kvHeads() * format.exact().row()));
  }

  CacheFormat format() {
    return format;
  }

  /** The configuration. */
  public KvCacheConfig config() {
    return format.config();
  }

  PageLayout layout() {
    return format.exact();
  }

  StoreKernels kernels() {
    return kernels;
  }

  /** Tokens held. */
  public long length() {
    return length;
  }

  long left() {
    return left;
  }

  long exactStart() {
    return exactStart;
  }

  long exactFirst() {
    return exact.first();
  }

  boolean inPrompt() {
    return prompt;
  }

  Sinks sinks() {
    return sinks;
  }

  PageTable exactPages() {
    return exact.table();
  }

  PageTable packedPages() {
    return packed;
  }

  @Nullable KeyConstants constants() {
    return constants;
  }

  CacheCall call() {
    return call;
  }

  /** Tokens before this are read packed, or as sinks, by the query at a position. */
  long border(long position) {
    long aged = Math.max(exactStart, Math.min(left, format.left(position + 1)));
    return Math.min(aged, position + 1);
  }

  /** Bytes of the pages held, shared ones included. */
  public long bytes() {
    return exact.table().bytes() + packed.bytes() + sinks.bytes();
  }

  /** Bytes of the packed pages for each token that has left; 0 before one has. */
  public double packedBytesPerToken() {
    return left == 0 ? 0 : (double) packed.bytes() / left;
  }

  /** As the facade tells. */
  public long storedBytes() {
    long kept = sinks.before(left);
    return format.storedBytes(length - left + kept, left - kept);
  }

  /** Puts back the numbers of a snapshot, whose pages the caller has filled. */
  void restore(long newLength, long newFirst, long newStart, long newLeft, boolean inPrompt) {
    length = newLength;
    exact.restore(newFirst);
    exactStart = newStart;
    left = newLeft;
    prompt = inPrompt;
  }

  @Override
  public void close() {
    parts.close();
  }
}
