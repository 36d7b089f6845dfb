package io.github.lightning4j.kvquant.internal;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.CudaKvImage;
import java.nio.charset.StandardCharsets;
import java.util.function.IntUnaryOperator;
import java.util.zip.CRC32C;

/** Moves a sequence between the pages of a layer on a GPU and the CPU. Every call waits. */
public final class CudaTransfer {
  private static final int PAGE = PageLayout.TOKENS;

  private final CudaStream stream;
  private final CudaStore store;
  private final int sequence;
  private final long tokens;
  private final IntUnaryOperator exactPage;
  private final IntUnaryOperator packedPage;

  /**
   * Transfers of one sequence.
   *
   * @param tokens it has
   * @param exactPage the number of its i-th exact page, -1 where it has none
   * @param packedPage the same of packed pages
   */
  public CudaTransfer(
      CudaStream stream,
      CudaStore store,
      int sequence,
      long tokens,
      IntUnaryOperator exactPage,
      IntUnaryOperator packedPage) {
    this.stream = stream;
    this.store = store;
    this.sequence = sequence;
    this.tokens = tokens;
    this.exactPage = exactPage;
    this.packedPage = packedPage;
  }

  /** Copies all tokens of a store that quantizes nothing to {@code [tokens, kvHeads, headDim]}. */
  public void read(Tensor outK, Tensor outV) {
    try (Memory page = Memory.allocate(store.exact().pageBytes())) {
      for (int i = 0; i < PageLayout.pages(tokens); i++) {
        stream.copy(exact(i), bytes(page));
        stream.synchronize();
        rows(outK, i).copyFrom(side(page, 0, i));
        rows(outV, i).copyFrom(side(page, 1, i));
      }
    }
  }

  /** Fills the pages of a store that quantizes nothing, rounded to nearest even. */
  public void write(Tensor k, Tensor v) {
    try (Memory page = Memory.allocate(store.exact().pageBytes())) {
      for (int i = 0; i < PageLayout.pages(tokens); i++) {
        side(page, 0, i).copyFrom(rows(k, i));
        side(page, 1, i).copyFrom(rows(v, i));
        stream.copy(bytes(page), exact(i));
        stream.synchronize();
      }
    }
  }

  private static Tensor bytes(Memory page) {
    return Tensor.view(page, 0, DType.U8, page.bytes());
  }

  private Tensor exact(int index) {
    return store.exact().pool().select(0, number(exactPage, index));
  }

  private long rowsOf(int page) {
    return Math.min(PAGE, tokens - (long) page * PAGE);
  }

  private Tensor rows(Tensor x, int page) {
    return x.narrow(0, (long) page * PAGE, rowsOf(page));
  }

  /** The keys (0) or values (1) of a page's tokens, {@code [rows, kvHeads, headDim]}. */
  private Tensor side(Memory page, int side, int index) {
    PageLayout layout = store.format().exact();
    Tensor elements = Tensor.view(page, 0, layout.dtype(), layout.pageElements());
    return elements.strided(
        side == 0 ? layout.key(0, 0) : layout.value(0, 0),
        new long[] {rowsOf(index), layout.kvHeads(), layout.headDim()},
        new long[] {layout.row(), layout.key(1, 0), 1});
  }

  /** All that a store which quantizes holds of the sequence. */
  public CudaKvImage down(MemoryScope scope) {
    CudaStore.Packed packed = packed();
    Tensor spoiled = scope.allocate(DType.I32, 1);
    stream.copy(packed.spoiled().narrow(0, sequence, 1), spoiled);
    Tensor sinks = packed.sinks();
    Tensor positions = packed.sinkPositions();
    CudaKvImage image =
        new CudaKvImage(
            scope.add(config()),
            scope.allocate(DType.U8, recentPages(), store.exact().pageBytes()),
            scope.allocate(DType.U8, packedPages(), packed.pages().pageBytes()),
            scope.allocate(DType.U8, sinks == null ? 0 : 1, store.exact().pageBytes()),
            scope.allocate(DType.I32, positions == null ? 0 : CudaStore.MOST_SINKS),
            scope.allocate(DType.I64, 1));
    forEachPart(packed, image, (there, here) -> stream.copy(there, here));
    stream.synchronize();
    image.sum().accessor().setLong(0, sum(image));
    checkState(
        spoiled.accessor().getLong(0) == 0,
        "keys or values of the sequence were not finite and have no codes");
    return image;
  }

  /**
   * Puts an image in the place of what a sequence that has begun holds.
   *
   * @throws IllegalArgumentException if it was made with something else, for other tokens, or was
   *     damaged
   */
  public void up(CudaKvImage image) {
    CudaStore.Packed packed = packed();
    try (Tensor config = config()) {
      String expected = text(config);
      Checks.dtype("config", image.config(), DType.U8);
      String got = text(image.config());
      checkArgument(
          got.equals(expected),
          "image: made with another configuration: expected %s, got %s",
          expected,
          got);
    }
    part("recent", image.recent(), DType.U8, recentPages(), store.exact().pageBytes());
    part("packed", image.packed(), DType.U8, packedPages(), packed.pages().pageBytes());
    long kept = packed.sinks() == null ? 0 : 1;
    part("sinks", image.sinks(), DType.U8, kept, store.exact().pageBytes());
    part("sinkPositions", image.sinkPositions(), DType.I32, kept * CudaStore.MOST_SINKS);
    part("sum", image.sum(), DType.I64, 1);
    checkPositions(image.sinkPositions().accessor(), image.sinkPositions().elements());
    long expected = image.sum().accessor().getLong(0);
    long got = sum(image);
    checkArgument(got == expected, "image: damaged: expected checksum %s, got %s", expected, got);
    forEachPart(packed, image, (there, here) -> stream.copy(here, there));
    stream.synchronize();
  }

  private static void part(String name, Tensor part, DType type, long... shape) {
    Checks.dtype(name, part, type);
    Checks.shape(name, part, shape);
    Checks.contiguous(name, part);
  }

  /** Kernels look up what belongs to a position without asking whether there is such a one. */
  private void checkPositions(Elements positions, long count) {
    long end = store.exact().each() * PAGE;
    long before = -1;
    for (long i = 0; i < count; i++) {
      long position = positions.getLong(i);
      boolean unset = position == Integer.MAX_VALUE;
      checkArgument(
          unset || position > before && position < end,
          "sinkPositions: expected ascending positions from 0 to %s, then %s only, got %s at %s",
          end - 1,
          Integer.MAX_VALUE,
          position,
          i);
      before = position;
    }
  }

  private static long sum(CudaKvImage image) {
    CRC32C sum = new CRC32C();
    sum.update(image.config().pointer().asByteBuffer());
    for (Tensor pages : new Tensor[] {image.recent(), image.packed(), image.sinks()}) {
      for (long i = 0; i < pages.size(0); i++) {
        sum.update(pages.select(0, i).pointer().asByteBuffer());
      }
    }
    if (image.sinkPositions().elements() > 0) {
      sum.update(image.sinkPositions().pointer().asByteBuffer());
    }
    return sum.getValue();
  }

  private interface PartCopy {
    void copy(Tensor there, Tensor here);
  }

  private void forEachPart(CudaStore.Packed packed, CudaKvImage image, PartCopy copy) {
    int first = (int) (left() / PAGE);
    for (int i = 0; i < image.recent().size(0); i++) {
      Tensor page = store.exact().pool().select(0, number(exactPage, first + i));
      copy.copy(page, image.recent().select(0, i));
    }
    for (int i = 0; i < image.packed().size(0); i++) {
      Tensor page = packed.pages().pool().select(0, number(packedPage, i));
      copy.copy(page, image.packed().select(0, i));
    }
    if (packed.sinks() != null && packed.sinkPositions() != null) {
      copy.copy(packed.sinks().select(0, sequence), image.sinks().select(0, 0));
      copy.copy(packed.sinkPositions().select(0, sequence), image.sinkPositions());
    }
  }

  private long left() {
    return store.format().left(tokens);
  }

  private long recentPages() {
    return PageLayout.pages(tokens) - left() / PAGE;
  }

  private long packedPages() {
    return PageLayout.pages(left());
  }

  private CudaStore.Packed packed() {
    CudaStore.Packed packed = store.packed();
    checkState(packed != null, "a cache that quantizes nothing has no image");
    return packed;
  }

  private Tensor config() {
    byte[] text = CacheSnapshot.describe(store.format().config()).getBytes(StandardCharsets.UTF_8);
    Tensor bytes = Tensor.allocate(DType.U8, text.length);
    bytes.pointer().asByteBuffer().put(text);
    return bytes;
  }

  private static String text(Tensor bytes) {
    byte[] text = new byte[Math.toIntExact(bytes.elements())];
    bytes.pointer().asByteBuffer().get(text);
    return new String(text, StandardCharsets.UTF_8);
  }

  private static int number(IntUnaryOperator pages, int index) {
    int page = pages.applyAsInt(index);
    checkArgument(page >= 0, "tokens: page %s of the sequence is missing", index);
    return page;
  }
}
