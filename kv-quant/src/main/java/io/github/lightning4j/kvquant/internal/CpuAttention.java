package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;

/**
 * The kernels of {@code attention_kernels.h} and {@code grouped_attention.h}. Where there are tiles
 * of queries enough for all threads, each tile is one piece of work; where there are not (decode
 * with few kv heads), ranges of keys are, and their results are merged in order. Both ways give the
 * same bits. Keys that were rotated over heads are restored for all tiles at once, so there a range
 * of keys is always the piece, and a long prompt is cut into chunks whose partial results fit
 * {@link #MOST}.
 */
final class CpuAttention implements AttentionKernels {
  private static final long TILE_ROWS = 16;
  private static final long RANGE_KEYS = 512;

  /** Pieces of work for each thread, so that a slow one does not hold up the rest. */
  private static final int PIECES = 2;

  /** Floats of the partial results of a chunk: 64 MiB. */
  private static final long MOST = 1 << 24;

  @Override
  public void attend(Tensor q, PagedStore store, float scale, Tensor out) {
    store.call().describe(q, scale, out);
    attend(q, store);
  }

  @Override
  public void attendPart(
      Tensor q, PagedStore store, Tensor from, Tensor to, float scale, Tensor out, Tensor logSums) {
    store.call().describe(q, from, to, scale, out, logSums);
    attend(q, store);
  }

  private static void attend(Tensor q, PagedStore store) {
    CacheCall call = store.call();
    long heads = store.layout().kvHeads();
    long tiles = ceilDiv(q.size(0) * (q.size(1) / heads), TILE_ROWS);
    long ranges = ceilDiv(store.length(), RANGE_KEYS);
    long partial = TILE_ROWS * (2 + store.layout().row());
    int threads = Threads.count();
    if (store.format().grouped()) {
      attendGrouped(call, heads, tiles, ranges, partial);
    } else if (threads > 1 && heads * tiles < PIECES * threads && ranges > 1) {
      attendRanges(call, heads * tiles, ranges, partial);
    } else {
      call.run(CacheCall.Work.TILES, heads * tiles);
    }
  }

  private static void attendRanges(CacheCall call, long tiles, long ranges, long partial) {
    call.scratch(tiles * ranges * partial);
    call.run(CacheCall.Work.RANGES, tiles * ranges);
    call.run(CacheCall.Work.MERGE, tiles);
  }

  private static void attendGrouped(
      CacheCall call, long heads, long tiles, long ranges, long partial) {
    long chunk = Math.max(1, Math.min(tiles, MOST / (heads * ranges * partial)));
    call.scratch(heads * chunk * ranges * partial);
    for (long from = 0; from < tiles; from += chunk) {
      long to = Math.min(tiles, from + chunk);
      call.tiles(from, to);
      call.run(CacheCall.Work.GROUPED_RANGES, ranges);
      call.run(CacheCall.Work.GROUPED_MERGE, heads * (to - from));
    }
  }

  private static long ceilDiv(long a, long b) {
    return (a + b - 1) / b;
  }
}
