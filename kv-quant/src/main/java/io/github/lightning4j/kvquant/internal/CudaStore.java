package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;

/** The pages of one layer on a GPU, and the tables of whoever gives them out. */
public final class CudaStore implements AutoCloseable {
  /** The most sinks of a sequence. */
  static final int MOST_SINKS = PageLayout.TOKENS;

  private final CacheFormat format;
  private final MemoryScope scope = new MemoryScope();
  private final Pages exact;

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

  /** The pages of a layer that is not quantized. */
  public CudaStore(CudaDevice device, CacheFormat format, Tensor table, int pages) {
    this.format = format;
    this.exact = new Pages(bytes(device, pages, format.exact().pageBytes()), table);
  }

  private Tensor bytes(CudaDevice device, long pages, long pageBytes) {
    return scope.add(
        Tensor.wrap(
            CudaMemory.allocate(device, Math.multiplyExact(pages, pageBytes)),
            0,
            DType.U8,
            pages,
            pageBytes));
  }

  /** The layouts. */
  public CacheFormat format() {
    return format;
  }

  Pages exact() {
    return exact;
  }

  /** Bytes of all pages. */
  public long bytes() {
    return exact.pool.elements();
  }

  @Override
  public void close() {
    scope.close();
  }
}
