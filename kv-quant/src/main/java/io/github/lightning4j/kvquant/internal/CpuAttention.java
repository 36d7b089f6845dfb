package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;

/**
 * The kernels of {@code attention_kernels.h}. Where there are tiles of queries enough for all
 * threads, each tile is one piece of work; where there are not (decode with few kv heads), ranges
 * of keys are, and their results are merged in order. Both ways give the same bits.
 */
final class CpuAttention implements AttentionKernels {
  private static final long TILE_ROWS = 16;
  private static final long RANGE_KEYS = 512;

  /** Pieces of work for each thread, so that a slow one does not hold up the rest. */
  private static final int PIECES = 2;

  @Override
  public void attend(Tensor q, PagedStore store, float scale, Tensor out) {
    PageLayout layout = store.layout();
    long rows = q.size(0) * (q.size(1) / layout.kvHeads());
    long tiles = layout.kvHeads() * ceilDiv(rows, TILE_ROWS);
    long ranges = ceilDiv(store.length(), RANGE_KEYS);
    int threads = Threads.count();
    try (Tensor call = describe(q, store, scale, out)) {
      if (threads > 1 && tiles < PIECES * threads && ranges > 1) {
        attendRanges(call, tiles, ranges, TILE_ROWS * (2 + layout.row()));
      } else {
        Threads.forRanges(
            tiles, 1, (from, to) -> KvQuantKernels.attendTiles(call.address(), from, to));
      }
    }
  }

  private static void attendRanges(Tensor call, long tiles, long ranges, long partial) {
    try (Tensor partials = Tensor.allocate(DType.F32, tiles, ranges, partial)) {
      Threads.forRanges(
          tiles * ranges,
          1,
          (from, to) -> KvQuantKernels.attendRanges(call.address(), partials.address(), from, to));
      Threads.forRanges(
          tiles,
          1,
          (from, to) -> KvQuantKernels.mergeRanges(call.address(), partials.address(), from, to));
    }
  }

  /** The fields of {@code AttentionCall} in {@code attention_call.h}. */
  private static Tensor describe(Tensor q, PagedStore store, float scale, Tensor out) {
    PageLayout layout = store.layout();
    long[] fields = {
      layout.dtype().ordinal(),
      store.tableAddress(),
      layout.kvHeads(),
      layout.row(),
      layout.headDim(),
      store.length(),
      q.size(0),
      q.size(1) / layout.kvHeads(),
      q.address(),
      q.stride(0),
      q.stride(1),
      out.address(),
      out.stride(0),
      out.stride(1),
      Double.doubleToRawLongBits(scale)
    };
    return Tensor.of(fields, fields.length);
  }

  private static long ceilDiv(long a, long b) {
    return (a + b - 1) / b;
  }
}
