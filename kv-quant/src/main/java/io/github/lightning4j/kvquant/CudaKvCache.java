package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.CacheFormat;
import io.github.lightning4j.kvquant.internal.CudaStore;
import io.github.lightning4j.kvquant.internal.CudaStoreKernels;
import java.util.EnumSet;
import java.util.Set;

/**
 * The keys and values of many sequences in one softmax attention layer, on a GPU. {@link KvCache}
 * is one sequence on the CPU.
 *
 * <p>All memory is taken when it is made. Which of its pages a sequence holds is a matter of {@link
 * CudaKvPages}, which the caches of all layers share. Tokens lie as BF16, in pages of 64, {@code 4
 * kvHeads headDim} bytes each.
 *
 * <p>Calls put kernels on a stream and return; they can be recorded in a graph. Not thread-safe.
 */
public final class CudaKvCache implements AutoCloseable {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaKvPages pages;
  private final CudaStore store;
  private boolean closed;

  private CudaKvCache(CudaKvPages pages, CudaStore store) {
    this.pages = pages;
    this.store = store;
  }

  /**
   * A cache without tokens.
   *
   * @param pages who gives its pages out
   * @param config quantizes nothing; BF16; heads of 32, 64 or 128 channels; pages of 64 tokens
   * @throws IllegalArgumentException if the configuration is another
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the pages do not fit
   */
  public static CudaKvCache create(CudaKvPages pages, KvCacheConfig config) {
    checkExact(config);
    checkArgument(
        config.format() == null,
        "config: expected one that quantizes nothing, got %s",
        config.format());
    CacheFormat format = CacheFormat.of(config);
    CudaStore store = new CudaStore(pages.device(), format, pages.table(), pages.pages());
    pages.count(format.exact().pageBytes());
    return new CudaKvCache(pages, store);
  }

  private static void checkExact(KvCacheConfig config) {
    checkArgument(
        config.dtype() == DType.BF16,
        "config: expected BF16 for tokens that are not quantized (withDtype), got %s",
        config.dtype());
    int dim = config.headDim();
    checkArgument(
        dim == 32 || dim == 64 || dim == 128,
        "config: expected heads of 32, 64 or 128 channels on a GPU, got %s",
        dim);
    checkArgument(
        config.pageTokens() == CudaKvPages.PAGE_TOKENS,
        "config: expected pages of %s tokens on a GPU, got %s",
        CudaKvPages.PAGE_TOKENS,
        config.pageTokens());
  }

  /**
   * Stores tokens at their positions, rounded to nearest even. Pages for them have been reserved
   * and published; tokens without a page are left out.
   *
   * @param k keys {@code [T, kvHeads, headDim]}, F32, BF16 or F16, turned to their positions by the
   *     rotary embedding already; a dense last dimension
   * @param v values, as {@code k}
   * @param rows where the tokens belong
   * @throws IllegalArgumentException if types, shapes or devices do not fit
   */
  public void append(CudaStream stream, Tensor k, Tensor v, CudaKvRows rows) {
    open();
    tokens("k", k, k, stream);
    tokens("v", v, k, stream);
    rows.check(stream.device().device(), k.size(0));
    if (k.size(0) > 0 && rows.count() > 0) {
      CudaStoreKernels.append(stream, store, k, v, rows.sequences(), rows.starts(), rows.offsets());
    }
  }

  private void tokens(String name, Tensor x, Tensor k, CudaStream stream) {
    checkArgument(
        x.device().equals(stream.device().device()),
        "%s: expected a tensor on %s, as the stream is, got %s",
        name,
        stream.device().device(),
        x);
    Checks.rank(name, x, 3);
    Checks.dtype(name, x, TYPES);
    Checks.dtype(name, x, k.dtype());
    Checks.shape(name, x, k.size(0), config().kvHeads(), config().headDim());
    Checks.denseLast(name, x);
  }

  /** What the cache holds in which formats. */
  public KvCacheConfig config() {
    return store.format().config();
  }

  /** Who gives its pages out. */
  public CudaKvPages pages() {
    return pages;
  }

  /** Bytes of all its pages, given out or not. */
  public long bytes() {
    return open().bytes();
  }

  /** The store, for the operators of this package. */
  CudaStore open() {
    checkState(!closed, "cache is closed");
    return store;
  }

  /**
   * Frees the memory.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    open();
    closed = true;
    store.close();
  }
}
