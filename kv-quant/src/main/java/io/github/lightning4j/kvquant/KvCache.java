package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.internal.PageLayout;
import io.github.lightning4j.kvquant.internal.PagedStore;
import io.github.lightning4j.kvquant.internal.StoreKernels;

/**
 * The keys and values of one sequence in one softmax attention layer.
 *
 * <p>Tokens lie in pages of 64, in memory outside the heap that grows page by page: {@code 2 *
 * kvHeads * headDim} elements a token, head dimensions padded to a multiple of 16. Values are
 * stored as F32, or rounded to nearest even as BF16 or F16; a value beyond the range of F16 becomes
 * infinite.
 *
 * <p>{@link #fork} shares pages: full ones for good, the last, partly filled one until either side
 * appends to it, which copies it first. Every cache and every fork is closed by whoever made it, in
 * any order; a page is freed with its last holder.
 *
 * <p>A cache is not thread-safe; a cache and its forks may be used on different threads. Every
 * method but the three that tell the layout throws {@link IllegalStateException} after {@link
 * #close}.
 */
public final class KvCache implements AutoCloseable {
  /** The widest head that the kernels hold in their scratch. */
  public static final int MAX_HEAD_DIM = 256;

  private final PagedStore store;
  private boolean closed;

  private KvCache(PagedStore store) {
    this.store = store;
  }

  /**
   * An empty cache.
   *
   * @param kvHeads heads of keys and values, {@code >= 1}
   * @param headDim channels of a head, 1 to {@value #MAX_HEAD_DIM}
   * @param dtype how elements are stored: F32, BF16 or F16
   * @throws IllegalArgumentException if one of them is something else
   */
  public static KvCache create(int kvHeads, int headDim, DType dtype) {
    return create(kvHeads, headDim, dtype, KvQuantKernels.library().preferred());
  }

  static KvCache create(int kvHeads, int headDim, DType dtype, Backend backend) {
    checkArgument(kvHeads >= 1, "kvHeads: expected >= 1, got %s", kvHeads);
    checkArgument(
        headDim >= 1 && headDim <= MAX_HEAD_DIM,
        "headDim: expected 1 to %s, got %s",
        MAX_HEAD_DIM,
        headDim);
    checkArgument(
        dtype == DType.F32 || dtype == DType.BF16 || dtype == DType.F16,
        "dtype: expected F32, BF16 or F16, got %s",
        dtype);
    PageLayout layout = new PageLayout(kvHeads, headDim, dtype);
    return new KvCache(new PagedStore(layout, StoreKernels.of(backend)));
  }

  /**
   * Adds tokens at the end. If it fails, the cache stays as it was.
   *
   * @param k keys {@code [T, kvHeads, headDim]}, F32, rotated to their positions already; a dense
   *     last dimension, other strides free
   * @param v values, as {@code k}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   * @throws io.github.lightning4j.core.OutOfNativeMemoryException if the system has no more pages
   */
  public void append(Tensor k, Tensor v) {
    open();
    Checks.rank("k", k, 3);
    checkRows("k", k, k.size(0));
    checkRows("v", v, k.size(0));
    store.append(k, v);
  }

  /** The number of tokens held. */
  public long length() {
    return open().length();
  }

  /**
   * A cache of the same tokens that shares their pages and goes its own way from here on. Cost: the
   * addresses of the pages.
   */
  public KvCache fork() {
    return new KvCache(open().fork());
  }

  /**
   * Forgets the tokens from {@code length} on and lets go of the pages that held nothing else.
   *
   * @throws IllegalArgumentException unless {@code 0 <= length <= length()}
   */
  public void truncate(long length) {
    open();
    checkArgument(
        length >= 0 && length <= store.length(),
        "length: expected 0 to %s, got %s",
        store.length(),
        length);
    store.truncate(length);
  }

  /**
   * Copies all tokens out, widened to F32, for instance to save them; appending them to an empty
   * cache of the same type gives the same bits.
   *
   * @param outK keys {@code [length, kvHeads, headDim]}, F32; a dense last dimension
   * @param outV values, as {@code outK}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   */
  public void read(Tensor outK, Tensor outV) {
    open();
    checkRows("outK", outK, store.length());
    checkRows("outV", outV, store.length());
    Checks.writable("outK", outK);
    Checks.writable("outV", outV);
    store.read(outK, outV);
  }

  /**
   * Bytes of the pages this cache holds. A page shared with a fork counts for each of them, so the
   * bytes of two forks may add up to more than the memory they take.
   */
  public long bytes() {
    return open().bytes();
  }

  /** Heads of keys and values. */
  public int kvHeads() {
    return store.layout().kvHeads();
  }

  /** Channels of a head. */
  public int headDim() {
    return store.layout().headDim();
  }

  /** How elements are stored. */
  public DType dtype() {
    return store.layout().dtype();
  }

  /**
   * Lets go of all pages.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    open();
    closed = true;
    store.close();
  }

  /** The store, for the operators of this package. */
  PagedStore open() {
    checkState(!closed, "cache is closed");
    return store;
  }

  private void checkRows(String name, Tensor tensor, long tokens) {
    Checks.dtype(name, tensor, DType.F32);
    Checks.shape(name, tensor, tokens, kvHeads(), headDim());
    Checks.denseLast(name, tensor);
  }
}
