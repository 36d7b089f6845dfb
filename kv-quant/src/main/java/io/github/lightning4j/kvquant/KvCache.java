package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.internal.CacheSnapshot;
import io.github.lightning4j.kvquant.internal.KvQuantKernels;
import io.github.lightning4j.kvquant.internal.PagedStore;
import io.github.lightning4j.kvquant.internal.StoreKernels;
import java.nio.file.Path;

/**
 * The keys and values of one sequence in one softmax attention layer.
 *
 * <p>Tokens lie in pages of 64 ({@link KvCacheConfig#pageTokens}), in memory outside the heap that
 * grows page by page. A cache that quantizes nothing takes {@code 2 * kvHeads * headDim} elements a
 * token, head dimensions padded to a multiple of 16: F32, or rounded to nearest even as BF16 or
 * F16; a value beyond the range of F16 becomes infinite.
 *
 * <p>A cache with a {@link KvCacheConfig#format} holds the newest tokens in this way, and a few for
 * good: the first ones and the sinks told at {@link #endPrompt}. All others are quantized, each
 * once, when they leave the window of recent ones, and take {@link #bytesPerToken}. A query reads
 * the tokens less than a window before it exactly and all older ones as quantized, however the
 * sequence was cut into calls; only what {@link #truncate} brings back into the window stays
 * quantized.
 *
 * <p>{@link #fork} shares pages: full ones for good, a partly filled one until either side writes
 * to it, which copies it first. Every cache and every fork is closed by whoever made it, in any
 * order; a page is freed with its last holder.
 *
 * <p>A cache is not thread-safe, not even for attention; its forks may be used on other threads.
 * After {@link #close} all but what tells the configuration throws {@link IllegalStateException}.
 */
public final class KvCache implements AutoCloseable {
  /** The widest head that the kernels hold in their scratch. */
  public static final int MAX_HEAD_DIM = 256;

  /** The most tokens that stay as they are for good. */
  public static final int MAX_SINKS = 64;

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

  /** As {@link #create(KvCacheConfig, PageBudget)}, with no limit but the machine's. */
  public static KvCache create(KvCacheConfig config) {
    return create(config, PageBudget.unlimited());
  }

  /**
   * An empty cache whose pages count against a budget.
   *
   * @throws IllegalArgumentException if the configuration keeps more than {@value #MAX_SINKS} first
   *     tokens
   */
  public static KvCache create(KvCacheConfig config, PageBudget budget) {
    return create(config, budget, KvQuantKernels.library().preferred());
  }

  static KvCache create(KvCacheConfig config, PageBudget budget, Backend backend) {
    checkArgument(
        config.tokens().firstTokens() <= MAX_SINKS,
        "tokens: expected at most %s first tokens, got %s",
        MAX_SINKS,
        config.tokens().firstTokens());
    return new KvCache(new PagedStore(config, budget.ledger(), StoreKernels.of(backend)));
  }

  static KvCache create(int kvHeads, int headDim, DType dtype, Backend backend) {
    return create(KvCacheConfig.exact(kvHeads, headDim, dtype), PageBudget.unlimited(), backend);
  }

  /**
   * Adds tokens at the end. If it fails, the cache stays as it was.
   *
   * @param k keys {@code [T, kvHeads, headDim]}, F32, turned to their positions by the rotary
   *     embedding already, unless the format stores them before it; a dense last dimension, other
   *     strides free
   * @param v values, as {@code k}
   * @throws io.github.lightning4j.kvquant.quantizer.NonFiniteInputException if the cache quantizes
   *     and a key or value is NaN or infinite
   * @throws PageBudgetException if the budget has no room for another page
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   * @throws io.github.lightning4j.core.OutOfNativeMemoryException if the system has no more pages
   */
  public void append(Tensor k, Tensor v) {
    open();
    Checks.rank("k", k, 3);
    RowChecks.rows("k", k, k.size(0), config());
    RowChecks.rows("v", v, k.size(0), config());
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
   * Copies all tokens out as F32, in the basis they came in. What a cache that quantizes nothing
   * gives, appended to an empty one of the same type, gives the same bits; to keep a cache use
   * {@link #save}.
   *
   * @param outK keys {@code [length, kvHeads, headDim]}, F32; a dense last dimension
   * @param outV values, as {@code outK}
   * @throws IllegalArgumentException if types, shapes or strides do not fit
   */
  public void read(Tensor outK, Tensor outV) {
    open();
    RowChecks.rows("outK", outK, store.length(), config());
    read(0, outK, outV);
  }

  /**
   * Copies tokens out as {@link #read(Tensor, Tensor)} does, as many as the tensors have rows.
   *
   * @param first the first of them
   * @param outK keys {@code [T, kvHeads, headDim]}, F32; a dense last dimension
   * @param outV values, as {@code outK}
   * @throws IllegalArgumentException if types, shapes or strides do not fit, or there are not so
   *     many tokens
   */
  public void read(long first, Tensor outK, Tensor outV) {
    open();
    RowChecks.range(first, outK, outV, store, config());
    store.read(first, outK, outV);
  }

  /**
   * Lets go of the oldest tokens, as many whole pages as there are among the first {@code tokens}.
   * Those that are left move up by whole 64s: what was token {@code n} is token 0, n being the
   * result. So the order of sums does not change; with pages of fewer tokens, up to 63 more are let
   * go that keep their places, and only {@link CacheAttention#attendPart} may attend to the others.
   *
   * @return by how many tokens those left have moved, a multiple of 64
   * @throws IllegalArgumentException unless {@code 0 <= tokens <= length()}
   * @throws IllegalStateException if the cache quantizes: it lets go of exact pages by itself
   */
  public long dropFirst(long tokens) {
    open();
    checkState(config().format() == null, "a cache that quantizes cannot drop its first tokens");
    checkArgument(
        tokens >= 0 && tokens <= store.length(),
        "tokens: expected 0 to %s, got %s",
        store.length(),
        tokens);
    return store.dropFirst(tokens);
  }

  /**
   * Bytes of the pages this cache holds. A page shared with a fork counts for each of them, so the
   * bytes of two forks may add up to more than the memory they take.
   */
  public long bytes() {
    return open().bytes();
  }

  /** Bytes of the packed pages for each token that has left the window; 0 before one has. */
  public double bytesPerToken() {
    return open().packedBytesPerToken();
  }

  /**
   * Bytes that the tokens take by themselves: quantized ones with scales and zero points, sinks and
   * recent ones as they came. What pages hold beyond that, slots that wait and exact rows that are
   * let go later, is not counted.
   */
  public long storedBytes() {
    return open().storedBytes();
  }

  /**
   * A prompt begins whose sinks are not known yet: all its tokens stay as they are until {@link
   * #endPrompt}. A query meanwhile reads them exactly, so what comes out does not depend on how the
   * prompt is cut into calls.
   *
   * @throws IllegalStateException if a prompt has begun already
   */
  public void beginPrompt() {
    open().beginPrompt();
  }

  /**
   * The prompt is complete; tokens that must leave the window do. Queries of the prompt that come
   * after this call read them quantized, as the figures of RotateKV's paper do.
   *
   * @param sinks tokens that stay as they are for good, for instance those of {@code
   *     MassiveActivations}; those quantized already are passed over
   * @throws IllegalArgumentException if a sink is not in the cache, or there are more than {@value
   *     #MAX_SINKS}
   * @throws IllegalStateException if no prompt has begun
   * @throws PageBudgetException if there is no room for packed pages; the prompt goes on then
   */
  public void endPrompt(long... sinks) {
    open().endPrompt(sinks);
  }

  /**
   * Lets go of the pages of quantized tokens as they came, which only queries before the last token
   * read, and of the page in which the next would wait where all are quantized. Worth a call at the
   * end of a prompt that has attended: otherwise the next {@link #append} does it, and until then
   * the prompt lies in memory twice. Of the tokens here only the last attends from here on. Nothing
   * happens within a prompt, or where nothing is quantized.
   */
  public void trim() {
    open().trim();
  }

  /**
   * Writes the cache to a file, which appears whole or not at all.
   *
   * @throws io.github.lightning4j.core.CheckpointException if it cannot be written
   */
  public void save(Path file) {
    CacheSnapshot.write(open(), file);
  }

  /**
   * The cache that {@link #save} wrote, to the bit.
   *
   * @param config that of the cache that was saved
   * @param budget what its pages count against
   * @throws io.github.lightning4j.core.CheckpointException if the file is no snapshot, is truncated
   *     or damaged, or was made with another configuration
   * @throws PageBudgetException if the budget has no room for it
   */
  public static KvCache load(Path file, KvCacheConfig config, PageBudget budget) {
    StoreKernels kernels = StoreKernels.of(KvQuantKernels.library().preferred());
    return new KvCache(CacheSnapshot.load(config, budget.ledger(), kernels, file));
  }

  /** What the cache holds in which formats. */
  public KvCacheConfig config() {
    return store.config();
  }

  /** Heads of keys and values. */
  public int kvHeads() {
    return store.config().kvHeads();
  }

  /** Channels of a head. */
  public int headDim() {
    return store.config().headDim();
  }

  /** How tokens lie that are not quantized. */
  public DType dtype() {
    return store.config().dtype();
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
}
