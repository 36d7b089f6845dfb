package io.github.lightning4j.minimax.vision.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.minimax.vision.VisionConfig;

/**
 * Attention of all patches of a tile to all of them.
 *
 * <p>To the attention over a cache, the queries of one head are so many query heads at the last
 * position, which share one head of keys and see all of them: it is then not causal. Each head has
 * a cache of its own, and each thread takes whole heads.
 */
final class TileAttention {
  private final CacheAttention attention;
  private final long headDim;
  private final float scale;

  TileAttention(VisionConfig.Tower tower, CacheAttention attention) {
    this.attention = attention;
    this.headDim = tower.headDim();
    this.scale = (float) (1 / Math.sqrt(tower.headDim()));
  }

  void forward(TowerBuffers buffers) {
    Threads.forRanges(
        buffers.caches.size(),
        1,
        (from, to) -> {
          for (long head = from; head < to; head++) {
            attend(buffers, head);
          }
        });
  }

  private void attend(TowerBuffers buffers, long head) {
    KvCache cache = buffers.caches.get((int) head);
    cache.truncate(0);
    cache.append(tokens(buffers.key, head), tokens(buffers.value, head));
    attention.attend(queries(buffers.query, head), cache, scale, queries(buffers.heads, head));
  }

  /** A head of all rows, {@code [rows, 1, d]}. */
  private Tensor tokens(Tensor rows, long head) {
    long[] shape = {rows.size(0), 1, headDim};
    return rows.strided(head * headDim, shape, new long[] {rows.stride(0), headDim, 1});
  }

  /** A head of all rows as heads of one position, {@code [1, rows, d]}. */
  private Tensor queries(Tensor rows, long head) {
    long[] shape = {1, rows.size(0), headDim};
    return rows.strided(head * headDim, shape, new long[] {headDim, rows.stride(0), 1});
  }
}
