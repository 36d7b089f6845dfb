package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The pages of one layer on a GPU, and the tables of whoever gives them out. */
public final class CudaStore implements AutoCloseable {
  /** The most sinks of a sequence. */
  public static final int MOST_SINKS = PageLayout.TOKENS;

  private final CudaDevice device;
  private final CacheFormat format;
  private final MemoryScope scope = new MemoryScope();
  private final Pages exact;
  private final @Nullable Packed packed;

  /**
   * A layer's pages of one kind.
   *
   * @param pool {@code [pages, page bytes]} U8
   * @param table {@code [sequences, pages of one]} I32
   */
  record Pages(Tensor pool, Tensor table) {
    long pageBytes() {
      return pool.size(1);
    }

    long each() {
      return table.size(1);
    }
  }

  /**
   * What a cache that quantizes has besides.
   *
   * @param codec the format
   * @param pages its packed pages
   * @param sinks {@code [sequences, exact page bytes]} U8, null if tokens are not kept for good
   * @param sinkPositions {@code [sequences, 64]} I32, ascending, filled up with the greatest number
   * @param spoiled {@code [sequences]} I32: keys and values that could not be quantized
   * @param mean {@code [kvHeads, headDim]} F32 where keys lack it
   * @param frequencies {@code [half]} F32
   * @param turns as {@link CudaAngles#turns}
   * @param inner as {@link CudaAngles#inner}
   * @param angles as {@link CudaAngles#angles}
   * @param permutation {@code [kvHeads headDim]} I32 of keys rotated over heads
   * @param places where their channels lie, as {@code cache_group.cuh} has it
   */
  record Packed(
      CudaCodec codec,
      Pages pages,
      @Nullable Tensor sinks,
      @Nullable Tensor sinkPositions,
      Tensor spoiled,
      @Nullable Tensor mean,
      @Nullable Tensor frequencies,
      @Nullable Tensor turns,
      @Nullable Tensor inner,
      @Nullable Tensor angles,
      @Nullable Tensor permutation,
      @Nullable Tensor places) {}

  /**
   * The pages of a layer.
   *
   * @param table of exact pages, {@code [sequences, pages of one]} I32
   * @param pages how many of them there are
   * @param packedTable of packed pages; null if nothing is quantized
   * @param packedPages how many of them there are
   * @throws IllegalArgumentException if kernels do not have the format
   */
  public CudaStore(
      CudaDevice device,
      CacheFormat format,
      Tensor table,
      int pages,
      @Nullable Tensor packedTable,
      int packedPages) {
    this.device = device;
    this.format = format;
    CudaCodec codec = CudaFormats.codec(format);
    try {
      exact = new Pages(bytes(pages, format.exact().pageBytes()), table);
      packed =
          packedTable == null
              ? null
              : pack(codec, new Pages(bytes(packedPages, format.packedBytes()), packedTable));
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  private Packed pack(CudaCodec codec, Pages pages) {
    long sequences = pages.table().size(0);
    boolean keeps =
        format.config().tokens().firstTokens() > 0
            || format.config().tokens().massiveActivations() > 0;
    KeyBasis basis =
        codec.half() == 0 && codec.grouping().turn() == 0 ? null : format.config().keyBasis();
    float[] mean = basis == null ? null : basis.mean();
    GroupedBasis rotation = basis == null ? null : basis.rotation();
    try (CudaStream stream = CudaStream.open(device)) {
      Packed all =
          new Packed(
              codec,
              pages,
              keeps ? bytes(sequences, format.exact().pageBytes()) : null,
              keeps ? up(stream, noSinks(sequences)) : null,
              allocate(DType.I32, sequences),
              mean == null ? null : up(stream, Tensor.of(mean, mean.length)),
              mean == null ? null : up(stream, Tensor.of(basis.inverseFrequencies(), codec.half())),
              basis == null
                  ? null
                  : up(stream, CudaAngles.turns(basis.inverseFrequencies(), (int) pages.each())),
              basis == null ? null : up(stream, CudaAngles.inner(basis.inverseFrequencies())),
              mean == null ? null : up(stream, CudaAngles.angles(basis.inverseFrequencies())),
              rotation == null ? null : up(stream, ints(rotation.permutation())),
              rotation == null ? null : up(stream, ints(places(codec, rotation))));
      stream.clear(all.spoiled());
      stream.synchronize();
      return all;
    }
  }

  private static Tensor ints(int[] values) {
    return Tensor.of(values, values.length);
  }

  /** Of each rotated channel: byte of a token's codes, times 8, and bit. */
  private static int[] places(CudaCodec codec, GroupedBasis rotation) {
    int[] places = new int[rotation.permutation().length];
    int group = codec.grouping().group();
    int bytes = group * codec.bits() / 8;
    for (int i = 0; i < places.length; i++) {
      int inside = i % group;
      int at = i / group * bytes + inside % bytes;
      places[rotation.permutation()[i]] = at << 3 | codec.bits() * (inside / bytes);
    }
    return places;
  }

  private static Tensor noSinks(long sequences) {
    int[] none = new int[Math.toIntExact(sequences * MOST_SINKS)];
    Arrays.fill(none, Integer.MAX_VALUE);
    return Tensor.of(none, sequences, MOST_SINKS);
  }

  private Tensor up(CudaStream stream, Tensor host) {
    try (host) {
      Tensor there = allocate(host.dtype(), host.shape());
      stream.copy(host, there);
      stream.synchronize();
      return there;
    }
  }

  private Tensor bytes(long pages, long pageBytes) {
    return allocate(DType.U8, pages, pageBytes);
  }

  private Tensor allocate(DType type, long... shape) {
    long bytes = type.bytes();
    for (long size : shape) {
      bytes = Math.multiplyExact(bytes, size);
    }
    return scope.add(Tensor.wrap(CudaMemory.allocate(device, bytes), 0, type, shape));
  }

  /** Forgets what a sequence held before; from here on these tokens are kept for good. */
  public void begin(CudaStream stream, int sequence, int[] sinks) {
    if (packed != null) {
      stream.clear(packed.spoiled().narrow(0, sequence, 1));
      keep(stream, sequence, sinks);
    }
  }

  /** These tokens, ascending and {@value #MOST_SINKS}, are kept for good. */
  public void keep(CudaStream stream, int sequence, int[] sinks) {
    if (packed != null && packed.sinkPositions() != null) {
      try (Tensor host = Tensor.of(sinks, sinks.length)) {
        stream.copy(host, packed.sinkPositions().select(0, sequence));
      }
    }
  }

  /** The layouts. */
  public CacheFormat format() {
    return format;
  }

  /** What kernels over exact pages are specialised by. */
  CudaCodec exactCodec() {
    return CudaCodec.exact(format);
  }

  Pages exact() {
    return exact;
  }

  @Nullable Packed packed() {
    return packed;
  }

  /** Bytes of all pages. */
  public long bytes() {
    return exact.pool.elements() + (packed == null ? 0 : packed.pages.pool.elements());
  }

  /** Copies a page of exact tokens. */
  public void copy(CudaStream stream, int from, int to) {
    copy(stream, exact.pool(), from, to);
  }

  /** Copies a packed page. */
  public void copyPacked(CudaStream stream, int from, int to) {
    if (packed != null) {
      copy(stream, packed.pages().pool(), from, to);
    }
  }

  /** Copies what a sequence has besides pages: its sinks, and whether something was spoiled. */
  public void copyRest(CudaStream stream, int from, int to) {
    if (packed != null) {
      copy(stream, packed.spoiled(), from, to);
      if (packed.sinks() != null && packed.sinkPositions() != null) {
        copy(stream, packed.sinks(), from, to);
        copy(stream, packed.sinkPositions(), from, to);
      }
    }
  }

  private static void copy(CudaStream stream, Tensor of, int from, int to) {
    stream.copy(of.narrow(0, from, 1), of.narrow(0, to, 1));
  }

  /** Sets all pages and sinks to zeros. */
  public void clear(CudaStream stream) {
    stream.clear(exact.pool());
    if (packed != null) {
      stream.clear(packed.pages().pool());
      if (packed.sinks() != null) {
        stream.clear(packed.sinks());
      }
    }
  }

  @Override
  public void close() {
    scope.close();
  }
}
