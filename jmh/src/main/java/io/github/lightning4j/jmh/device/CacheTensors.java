package io.github.lightning4j.jmh.device;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CudaCacheAttention;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvPages;
import io.github.lightning4j.kvquant.CudaKvRows;
import io.github.lightning4j.kvquant.KvCacheConfig;
import java.util.Arrays;
import java.util.function.IntConsumer;

/** What rows of caches share: 64 heads on 8 kv heads of 128, and sequences of random tokens. */
final class CacheTensors {
  /** Tokens that come at once, as a chunk of a prompt. */
  private static final int CHUNK = 4096;

  /** Pages of bf16 that a sequence keeps beside its chunk: for its window. */
  private static final int WINDOW_PAGES = 4;

  private final Scene scene;
  private final Pages kind;
  private final int heads;
  private final int kvHeads;
  private final int dim;
  private final int tokens;
  private final int behind;
  private final CudaKvPages recent;
  private final CudaKvPages aged;
  private final CudaKvCache cache;
  private final Tensor sequences;
  private final Tensor last;
  private final Tensor answer;

  /**
   * Fills a cache.
   *
   * @param tokens of each sequence
   * @param most sequences at most; fewer where these go through more than any cache holds
   */
  CacheTensors(Scene scene, Pages kind, int tokens, int most) {
    this(scene, kind, tokens, 0, most);
  }

  /**
   * Fills a cache.
   *
   * @param tokens of each sequence
   * @param behind tokens of a prompt behind them, which have not been quantized
   * @param most as above
   */
  CacheTensors(Scene scene, Pages kind, int tokens, int behind, int most) {
    this.scene = scene;
    this.behind = behind;
    this.kind = kind;
    this.tokens = tokens;
    this.heads = scene.size(64, 8);
    this.kvHeads = scene.size(8, 1);
    this.dim = scene.size(128, 32);
    int count = Math.min(most, scene.variants((long) bytes()));
    KvCacheConfig config = kind.config(kvHeads, dim);
    int each = (tokens + CudaKvPages.PAGE_TOKENS - 1) / CudaKvPages.PAGE_TOKENS;
    int chunk = scene.size(CHUNK, CudaKvPages.PAGE_TOKENS);
    boolean packs = config.format() != null;
    int exact = packs ? chunk / CudaKvPages.PAGE_TOKENS + (count + 1) * WINDOW_PAGES : count * each;
    int all = tokens + behind;
    this.recent = scene.add(CudaKvPages.create(scene.device(), count, all, exact));
    this.aged = scene.add(CudaKvPages.create(scene.device(), count, all, packs ? count * each : 1));
    this.cache =
        scene.add(
            packs ? CudaKvCache.create(recent, aged, config) : CudaKvCache.create(recent, config));
    this.sequences = scene.range(count);
    int[] positions = new int[count];
    Arrays.fill(positions, tokens - 1);
    this.last = scene.ints(positions);
    this.answer = queries(1);
    fill(Math.min(tokens, chunk));
    scene.stream().synchronize();
  }

  private void fill(int chunk) {
    Tensor k = keys(chunk);
    Tensor v = keys(chunk);
    for (int i = 0; i < count(); i++) {
      cache.begin(scene.stream(), i);
      for (int from = 0; from < tokens; from += chunk) {
        int count = Math.min(chunk, tokens - from);
        append(i, from, k.narrow(0, 0, count), v.narrow(0, 0, count));
        age(i, from, count);
      }
      if (behind > 0) {
        append(i, tokens, keys(behind), keys(behind));
      }
    }
    recent.publish(scene.stream());
  }

  private CudaKvRows rows(int sequence, int from, int count) {
    return CudaKvRows.packed(sequence(sequence), scene.ints(from), scene.ints(0, count));
  }

  private void append(int sequence, int from, Tensor k, Tensor v) {
    int count = (int) k.size(0);
    recent.reserve(sequence, from + count);
    recent.publish(scene.stream());
    cache.append(scene.stream(), k, v, rows(sequence, from, count));
  }

  private void age(int sequence, int from, int count) {
    if (cache.config().format() != null) {
      aged.reserve(sequence, from + count);
      aged.publish(scene.stream());
      cache.age(scene.stream(), rows(sequence, from, count));
      recent.dropBefore(sequence, cache.config().tokens().left(from + count));
    }
  }

  /** How many sequences there are. */
  int count() {
    return recent.sequences();
  }

  CudaKvCache cache() {
    return cache;
  }

  /** The number of a sequence, I32 {@code [1]}. */
  Tensor sequence(int i) {
    return sequences.narrow(0, i, 1);
  }

  /** The position of its last token, I32 {@code [1]}. */
  Tensor last(int i) {
    return last.narrow(0, i, 1);
  }

  /** All tokens of the first sequence. */
  CudaKvRows prompt() {
    return CudaKvRows.packed(sequence(0), scene.ints(0), scene.ints(0, tokens));
  }

  /** The tokens behind those of the first sequence, which see these as they have been aged. */
  CudaKvRows behind() {
    return rows(0, tokens, behind);
  }

  /** Queries, or room for their results, {@code [rows, heads, dim]} in bf16. */
  Tensor queries(int rows) {
    return scene.random(DType.BF16, rows, heads, dim);
  }

  /** Keys or values {@code [rows, kvHeads, dim]} in bf16. */
  Tensor keys(int rows) {
    return scene.random(DType.BF16, rows, kvHeads, dim);
  }

  /** What attends to the last token of a sequence, given its number. */
  IntConsumer decode() {
    CudaCacheAttention attention = CudaCacheAttention.on(scene.stream());
    Tensor q = queries(1);
    Tensor scratch = scene.zeros(DType.F32, attention.scratchElements(cache, 1, heads));
    return i -> attention.decode(q, cache, sequence(i), last(i), scale(), scratch, answer);
  }

  /**
   * Attends once more to each sequence.
   *
   * @throws IllegalStateException if pages or tokens are missing, or went wrong: then the time of
   *     what was measured tells nothing
   */
  Measured checked(Measured measured) {
    IntConsumer decode = decode();
    for (int i = 0; i < count(); i++) {
      decode.accept(i);
      for (double value : scene.down(answer)) {
        checkState(Double.isFinite(value), "sequence %s of %s: attention gives %s", i, kind, value);
      }
    }
    return measured;
  }

  /** The factor of scores. */
  float scale() {
    return (float) (1 / Math.sqrt(dim));
  }

  /** Bytes that a query reads. */
  double bytes() {
    return kind.bytes(tokens, kvHeads, dim);
  }

  /** Operations of the queries of a whole sequence. */
  double promptOperations() {
    return 4.0 * heads * dim * tokens * (tokens + 1) / 2;
  }

  /** Operations of the queries behind a sequence. */
  double behindOperations() {
    return 4.0 * heads * dim * behind * (tokens + (behind + 1) / 2.0);
  }
}
