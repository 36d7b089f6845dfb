package io.github.lightning4j.minimax.internal.device;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvPages;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.CachePlan;
import java.util.ArrayList;
import java.util.List;

/**
 * What all sequences remember on a GPU: states of lightning layers, keys and values of softmax
 * layers. A sequence has the same slot in all of them.
 */
final class SequencePool implements AutoCloseable {
  /** The most sequences at once. */
  static final int MOST_SEQUENCES = 256;

  private final MemoryScope scope = new MemoryScope();
  private final CudaStream stream;
  private final CachePlan plan;
  private final StatePool states;
  private final CudaKvPages pages;
  private final List<CudaKvCache> caches = new ArrayList<>();

  /**
   * A pool without sequences. The pages of its caches take what the plan's budget allows, or half
   * of the memory that is free where it has no limit; all of them are taken now.
   */
  SequencePool(CudaStream stream, MiniMaxConfig config, CachePlan plan) {
    this.stream = stream;
    this.plan = plan;
    List<KvCacheConfig> layers = configs(plan);
    try {
      this.states = scope.add(new StatePool(stream, config, MOST_SEQUENCES));
      this.pages = scope.add(pages(stream.device(), config, layers, plan.budget().limit()));
      for (KvCacheConfig layer : layers) {
        caches.add(scope.add(CudaKvCache.create(pages, layer)));
      }
    } catch (RuntimeException e) {
      scope.close();
      throw e;
    }
  }

  private static List<KvCacheConfig> configs(CachePlan plan) {
    checkFormat(plan);
    return plan.configs().orElseThrow().stream()
        .map(one -> one.withDtype(DType.BF16).withPageTokens(CudaKvPages.PAGE_TOKENS))
        .toList();
  }

  /**
   * Whether caches of a GPU can be of a format.
   *
   * @throws IllegalArgumentException if not
   */
  static void checkFormat(CachePlan plan) {
    checkArgument(
        plan.format().equals(KvCacheFormat.exact(DType.BF16)),
        "caches: models on a GPU hold keys and values in bf16 so far, got %s",
        plan.format().name());
  }

  private static CudaKvPages pages(
      CudaDevice device, MiniMaxConfig config, List<KvCacheConfig> layers, long limit) {
    long bytes = 1;
    for (KvCacheConfig layer : layers) {
      bytes += 4L * CudaKvPages.PAGE_TOKENS * layer.kvHeads() * layer.headDim();
    }
    long all = Math.min(limit, device.freeMemory() / 2) / bytes;
    long useful = (config.maxPositions() / CudaKvPages.PAGE_TOKENS + 1L) * MOST_SEQUENCES;
    int count = (int) Math.max(1, Math.min(all, Math.min(useful, Integer.MAX_VALUE / 64)));
    long tokensEach = Math.min(config.maxPositions(), (long) count * CudaKvPages.PAGE_TOKENS);
    return CudaKvPages.create(device, MOST_SEQUENCES, tokensEach, count);
  }

  /** The states of the lightning layers. */
  StatePool states() {
    return states;
  }

  /** The keys and values of the softmax layer that is the n-th of its kind. */
  CudaKvCache cache(int softmaxLayer) {
    return caches.get(softmaxLayer);
  }

  /** What the caches hold. */
  CachePlan plan() {
    return plan;
  }

  /**
   * A slot for a new sequence.
   *
   * @throws IllegalStateException if there are too many
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if its states do not fit
   */
  int open() {
    return states.take();
  }

  /**
   * A slot that remembers what another does.
   *
   * @param tokens of the other
   * @throws PageBudgetException if there are too few pages; nothing has changed then
   */
  int fork(int slot, long tokens) {
    int copy = states.copy(slot);
    try {
      reserve(copy, tokens);
      caches.forEach(cache -> cache.copy(stream, slot, copy, tokens));
      return copy;
    } catch (RuntimeException e) {
      close(copy);
      throw e;
    }
  }

  /**
   * Pages for a sequence of so many tokens.
   *
   * @throws PageBudgetException if there are too few; none is given out then
   */
  void reserve(int slot, long tokens) {
    if (tokens > pages.tokensEach()) {
      throw new PageBudgetException(cacheBytes(tokens), 0, cacheBytes(pages.tokensEach()));
    }
    pages.reserve(slot, tokens);
  }

  /** Sets all keys and values to zero, for sequences that go on behind tokens nobody read. */
  void clear() {
    caches.forEach(cache -> cache.clear(stream));
  }

  /** Sends what has changed in the pages, ahead of a step. */
  void publish() {
    pages.publish(stream);
  }

  /** Ends a sequence. */
  void close(int slot) {
    pages.release(slot);
    states.giveBack(slot);
  }

  /** Bytes of the pages of a sequence of so many tokens. */
  long cacheBytes(long tokens) {
    long pageBytes = caches.stream().mapToLong(CudaKvCache::bytes).sum() / pages.pages();
    return (tokens + CudaKvPages.PAGE_TOKENS - 1) / CudaKvPages.PAGE_TOKENS * pageBytes;
  }

  /** Elements of a token's keys and values in all layers. */
  long elements() {
    return caches.stream()
        .mapToLong(cache -> 2L * cache.config().kvHeads() * cache.config().headDim())
        .sum();
  }

  @Override
  public void close() {
    scope.close();
  }
}
