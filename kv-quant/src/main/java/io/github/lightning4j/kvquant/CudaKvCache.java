package io.github.lightning4j.kvquant;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.internal.CacheFormat;
import io.github.lightning4j.kvquant.internal.CudaFormats;
import io.github.lightning4j.kvquant.internal.CudaStore;
import io.github.lightning4j.kvquant.internal.CudaStoreKernels;
import io.github.lightning4j.kvquant.internal.PageLayout;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.Set;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * The keys and values of many sequences in one softmax attention layer, on a GPU. {@link KvCache}
 * is one sequence on the CPU.
 *
 * <p>All memory is taken when it is made. Which of its pages a sequence holds is a matter of {@link
 * CudaKvPages}, which the caches of all layers share. Tokens lie as BF16, in pages of 64, {@code 4
 * kvHeads headDim} bytes each.
 *
 * <p>A cache with a {@link KvCacheConfig#format} has packed pages besides, given out separately.
 * Tokens come into pages of BF16 as they are; {@link #age} takes those that leave the window of
 * recent ones into the basis and quantizes them. A prompt that reads itself exactly is aged when
 * all of it has attended.
 *
 * <p>Calls put kernels on a stream and return; they can be recorded in a graph. Not thread-safe.
 */
public final class CudaKvCache implements AutoCloseable {
  private static final Set<DType> TYPES = EnumSet.of(DType.F32, DType.BF16, DType.F16);

  private final CudaKvPages pages;
  private final @Nullable CudaKvPages aged;
  private final CudaStore store;
  private boolean closed;

  private CudaKvCache(CudaKvPages pages, @Nullable CudaKvPages aged, CudaStore store) {
    this.pages = pages;
    this.aged = aged;
    this.store = store;
  }

  /**
   * Whether a GPU can have caches of a configuration.
   *
   * @throws IllegalArgumentException if not, with what it would have to be
   */
  public static void check(KvCacheConfig config) {
    CudaFormats.check(config);
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
    check(config);
    checkArgument(
        config.format() == null,
        "config: expected one that quantizes nothing, or packed pages beside, got %s",
        config.format());
    CacheFormat format = CacheFormat.of(config);
    Tensor table = pages.table();
    CudaStore store = new CudaStore(pages.device(), format, table, pages.pages(), null, 0);
    pages.count(format.exact().pageBytes());
    return new CudaKvCache(pages, null, store);
  }

  /**
   * A cache without tokens that quantizes what leaves the window of recent tokens.
   *
   * @param recent who gives out pages of BF16: for the window, and for prompts until {@link #age}
   * @param aged who gives out packed pages; as many sequences of as many tokens as {@code recent}
   * @param config as above, with a format that keys and values share but for how much is clipped:
   *     2, 4 or 8 bits, affine (clipped by a factor) or for 2 bits Lloyd-Max, groups of whole
   *     heads, scales LOG8 or FP16; any transform but dense pairs, {@code PreRopeGrouped} with 2 or
   *     4 bits
   * @throws IllegalArgumentException if the configuration is another
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if the pages do not fit
   */
  public static CudaKvCache create(CudaKvPages recent, CudaKvPages aged, KvCacheConfig config) {
    check(config);
    checkArgument(config.format() != null, "config: expected one that quantizes, got %s", config);
    checkArgument(
        recent.device().equals(aged.device())
            && recent.sequences() == aged.sequences()
            && recent.tokensEach() == aged.tokensEach(),
        "aged: expected pages of %s sequences of %s tokens on %s, got %s of %s on %s",
        recent.sequences(),
        recent.tokensEach(),
        recent.device(),
        aged.sequences(),
        aged.tokensEach(),
        aged.device());
    CacheFormat format = CacheFormat.of(config);
    CudaStore store =
        new CudaStore(
            recent.device(), format, recent.table(), recent.pages(), aged.table(), aged.pages());
    recent.count(format.exact().pageBytes());
    aged.count(format.packedBytes());
    return new CudaKvCache(recent, aged, store);
  }

  /**
   * A sequence begins in the place of another: its first tokens are kept for good, as the
   * configuration says. Before its first {@link #age}; nothing happens where nothing is quantized.
   *
   * @throws IllegalArgumentException if there is no such sequence
   */
  public void begin(CudaStream stream, int sequence) {
    open();
    checkSequence(sequence);
    store.begin(stream, sequence, sinks());
  }

  /**
   * Sinks of a prompt, for instance those of {@code MassiveActivations}, are kept for good besides
   * the first tokens. Before the {@link #age} that they would leave in.
   *
   * @throws IllegalArgumentException if there is no such sequence, the configuration keeps none, or
   *     there are more than {@value KvCache#MAX_SINKS} with the first tokens
   */
  public void keep(CudaStream stream, int sequence, int... sinks) {
    open();
    checkSequence(sequence);
    checkArgument(
        sinks.length == 0
            || config().tokens().firstTokens() > 0
            || config().tokens().massiveActivations() > 0,
        "sinks: expected none with %s",
        config().tokens());
    store.keep(stream, sequence, sinks(sinks));
  }

  private int[] sinks(int... others) {
    int[] all =
        IntStream.concat(IntStream.range(0, config().tokens().firstTokens()), IntStream.of(others))
            .sorted()
            .distinct()
            .toArray();
    checkArgument(
        all.length <= KvCache.MAX_SINKS && (all.length == 0 || all[0] >= 0),
        "sinks: expected at most %s positions >= 0 with the first tokens, got %s",
        KvCache.MAX_SINKS,
        Arrays.toString(all));
    int[] filled = Arrays.copyOf(all, KvCache.MAX_SINKS);
    Arrays.fill(filled, all.length, filled.length, Integer.MAX_VALUE);
    return filled;
  }

  private void checkSequence(int sequence) {
    checkArgument(
        sequence >= 0 && sequence < pages.sequences(),
        "sequence: expected 0 <= sequence < %s, got %s",
        pages.sequences(),
        sequence);
  }

  /**
   * Quantizes, each once, the tokens that leave the window of recent ones as sequences go on by
   * these pieces; sinks are put by instead. In a decode step behind {@link #append}; for a prompt
   * once at its end, with one piece from its first position on. Packed pages for the tokens have
   * been reserved and published; afterwards {@link CudaKvPages#dropBefore} may take the others:
   * tokens before {@code config().tokens().left(length)} are not read there any more.
   *
   * <p>The codes are those of {@link io.github.lightning4j.kvquant.quantizer.KvQuantizer}, to the
   * bit. Nobody can be told of a key or value that is NaN or infinite: attention over its sequence
   * gives NaN from here on, until {@link #begin}. The same goes for a token without a packed page.
   *
   * @throws IllegalArgumentException if the rows are on another device
   */
  public void age(CudaStream stream, CudaKvRows rows) {
    open();
    rows.check(stream.device().device(), rows.count());
    if (rows.count() > 0) {
      CudaStoreKernels.age(stream, store, rows.sequences(), rows.starts(), rows.offsets());
    }
  }

  /**
   * Stores tokens at their positions, rounded to nearest even. Pages for them have been reserved
   * and published; tokens without a page are left out.
   *
   * @param k keys {@code [T, kvHeads, headDim]}, F32, BF16 or F16, turned to their positions by the
   *     rotary embedding already, but not for {@code PreRopeGrouped}; a dense last dimension
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

  /**
   * Copies the first tokens of a sequence to another: a fork. Of tokens that have left the window
   * that is their packed pages, and the sinks; the others' pages of BF16 are copied from the first
   * that the sequence holds. Pages that both {@linkplain CudaKvPages#share share} stay as they are.
   * Not part of a graph.
   *
   * @param from a sequence with pages for the tokens
   * @param to another, with pages for all that the first has
   * @param tokens how many, in whole pages what lies behind them too
   * @throws IllegalArgumentException if one of them lacks a page, or they are the same
   */
  public void copy(CudaStream stream, int from, int to, long tokens) {
    open();
    checkArgument(from != to, "to: expected another sequence than %s", from);
    long left = config().format() == null ? 0 : config().tokens().left(tokens);
    copy(
        pages,
        from,
        to,
        left / CudaKvPages.PAGE_TOKENS,
        tokens,
        (s, t) -> store.copy(stream, s, t));
    if (aged != null) {
      copy(aged, from, to, 0, left, (s, t) -> store.copyPacked(stream, s, t));
      store.copyRest(stream, from, to);
    }
  }

  private interface PageCopy {
    void copy(int source, int target);
  }

  private static void copy(
      CudaKvPages of, int from, int to, long firstPage, long tokens, PageCopy copy) {
    for (int i = (int) firstPage; i < PageLayout.pages(tokens); i++) {
      int source = of.page(from, i);
      int target = of.page(to, i);
      checkArgument(
          source >= 0 && target >= 0,
          "tokens: expected pages for %s in sequences %s and %s, page %s is missing",
          tokens,
          from,
          to,
          i);
      if (source != target) {
        copy.copy(source, target);
      }
    }
  }

  /** The number of a sequence's packed page; -1 where it has none. */
  int packedPage(int sequence, int index) {
    return aged == null ? -1 : aged.page(sequence, index);
  }

  /** Sets all pages to zeros, so that tokens which were not appended read as zeros. */
  public void clear(CudaStream stream) {
    open().clear(stream);
  }

  private void tokens(String name, Tensor x, Tensor k, CudaStream stream) {
    stream.check(name, x);
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
