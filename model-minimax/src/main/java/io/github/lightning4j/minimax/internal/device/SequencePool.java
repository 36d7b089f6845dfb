package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.kvquant.CudaKvCache;
import io.github.lightning4j.kvquant.CudaKvPages;
import io.github.lightning4j.kvquant.CudaKvRows;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBudgetException;
import io.github.lightning4j.kvquant.PageBytes;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.internal.CachePlan;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What all sequences remember on a GPU: states of lightning layers, keys and values of softmax
 * layers. A sequence has the same slot in all of them.
 */
final class SequencePool implements AutoCloseable {
  /** The most sequences at once. */
  static final int MOST_SEQUENCES = 256;

  private final MemoryScope scope = new MemoryScope();
  private final CudaStream stream;
  private final MiniMaxConfig config;
  private final CachePlan plan;
  private final StatePool states;
  private final CachePages pages;
  private final Tensor piece;
  private final List<CudaKvCache> caches = new ArrayList<>();

  /**
   * A pool without sequences. The pages of its caches take what the plan's budget allows, or half
   * of the memory that is free where it has no limit; all of them are taken now.
   *
   * @param ranks who has as many; null for none
   */
  SequencePool(
      CudaStream stream, MiniMaxConfig config, CachePlan plan, @Nullable ExpertRanks ranks) {
    this.stream = stream;
    this.config = config;
    this.plan = plan;
    List<KvCacheConfig> layers = DeviceFormats.configs(config, plan);
    try {
      this.states = scope.add(new StatePool(stream, config, MOST_SEQUENCES));
      this.piece =
          scope.add(Tensor.wrap(CudaMemory.allocate(stream.device(), 16), 0, DType.I32, 4));
      long free = stream.device().freeMemory();
      long bytes = Math.min(plan.budget().limit(), (ranks == null ? free : ranks.least(free)) / 2);
      this.pages =
          scope.add(
              new CachePages(
                  stream.device(), layers, MOST_SEQUENCES, config.maxPositions(), bytes));
      for (KvCacheConfig layer : layers) {
        caches.add(scope.add(pages.cache(layer)));
      }
    } catch (RuntimeException | Error e) {
      scope.close();
      throw e;
    }
  }

  /** The states of the lightning layers. */
  StatePool states() {
    return states;
  }

  /** The pages of the softmax layers. */
  CachePages pages() {
    return pages;
  }

  /** The keys and values of the softmax layer that is the n-th of its kind. */
  CudaKvCache cache(int softmaxLayer) {
    return caches.get(softmaxLayer);
  }

  /** The model's hyperparameters. */
  MiniMaxConfig config() {
    return config;
  }

  /** Where its work goes. */
  CudaStream stream() {
    return stream;
  }

  /** How many caches there are. */
  int caches() {
    return caches.size();
  }

  /** What the caches hold. */
  CachePlan plan() {
    return plan;
  }

  /**
   * A slot for a new sequence.
   *
   * @throws io.github.lightning4j.minimax.internal.TooManySequencesException if there are too many
   * @throws io.github.lightning4j.core.cuda.CudaOutOfMemoryException if its states do not fit
   */
  int open() {
    int slot = states.take();
    caches.forEach(cache -> cache.begin(stream, slot));
    return slot;
  }

  /**
   * A slot that remembers what another does.
   *
   * @param length tokens of the other
   * @throws PageBudgetException if there are too few pages; nothing has changed then
   */
  int fork(int slot, long length) {
    int copy = states.copy(slot);
    try {
      pages.share(slot, copy, length);
      room(copy, length);
      caches.forEach(cache -> cache.copy(stream, slot, copy, length));
      return copy;
    } catch (RuntimeException | Error e) {
      close(copy);
      throw e;
    }
  }

  /**
   * Takes pages for what is put in the place of a sequence without tokens.
   *
   * @throws PageBudgetException if there are too few; none is given out then
   */
  void room(int slot, long length) {
    pages.settle(slot, length);
    pages.reserve(slot, length);
  }

  /** The prompt that began a sequence or went on with it is over; it has so many tokens now. */
  void endPrompt(int slot, DevicePrompt prompt, long length) {
    if (prompt.exact() && length > prompt.start()) {
      int start = Math.toIntExact(prompt.start());
      int[] values = {slot, start, 0, Math.toIntExact(length) - start};
      try (Tensor host = Tensor.of(values, values.length)) {
        stream.copy(host, piece);
        stream.synchronize();
      }
      CudaKvRows rows =
          CudaKvRows.packed(piece.narrow(0, 0, 1), piece.narrow(0, 1, 1), piece.narrow(0, 2, 2));
      for (int layer = 0; layer < caches.size(); layer++) {
        if (prompt.looks(layer)) {
          caches.get(layer).keep(stream, slot, prompt.sinks(layer));
        }
        caches.get(layer).age(stream, rows);
      }
    }
    pages.settle(slot, length);
  }

  /** Sets all keys and values to zero, for sequences that go on behind tokens nobody read. */
  void clear() {
    caches.forEach(cache -> cache.clear(stream));
  }

  /** Ends a sequence. */
  void close(int slot) {
    pages.release(slot);
    states.giveBack(slot);
  }

  /** Elements of a token's keys and values in all layers. */
  long elements() {
    return caches.stream()
        .mapToLong(cache -> 2L * cache.config().kvHeads() * cache.config().headDim())
        .sum();
  }

  /** Bits of an element in packed pages, metadata included; 0 where there are none. */
  double packedBitsPerElement() {
    double bytes = 0;
    for (CudaKvCache cache : caches) {
      bytes += PageBytes.of(cache.config()).packed();
    }
    return 8 * bytes / (CudaKvPages.PAGE_TOKENS * Math.max(1.0, elements()));
  }

  @Override
  public void close() {
    scope.close();
  }
}
