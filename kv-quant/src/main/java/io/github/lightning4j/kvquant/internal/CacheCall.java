package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.Threads.RangeTask;
import org.jspecify.annotations.Nullable;

/**
 * How a store calls its kernels: {@code Cache} and {@code AttentionCall} of the C++ side as fields
 * outside the heap, scratch memory, and the pieces of work, all kept from call to call, so that a
 * step of decode allocates nothing.
 */
final class CacheCall implements AutoCloseable {
  private static final int CACHE_FIELDS = 39;
  private static final int CALL_FIELDS = 13;

  /** Pieces of attention, as the kernels are called. */
  enum Work {
    TILES,
    RANGES,
    MERGE,
    GROUPED_RANGES,
    GROUPED_MERGE
  }

  private final PagedStore store;
  private final NativeFields fields = new NativeFields(CACHE_FIELDS + CALL_FIELDS);
  private final RangeTask append = this::appendRange;
  private final RangeTask appendPacked = this::appendPackedRange;
  private final RangeTask age = this::ageRange;
  private final RangeTask read = this::readRange;
  private final RangeTask attend = this::attendRange;
  private @Nullable Tensor k;
  private @Nullable Tensor v;
  private Memory scratch = Memory.allocate(0);
  private Work work = Work.TILES;
  private long readFirst;
  private long tileFrom;
  private long tileTo;

  CacheCall(PagedStore store) {
    this.store = store;
  }

  /** The address of the fields, those of the cache first. */
  long address() {
    return fields.address();
  }

  /** Tokens to positions {@code store.length()} on, of pages that the store has for them. */
  void append(Tensor keys, Tensor values, boolean packed) {
    run(keys, values, keys.size(0), packed ? appendPacked : append);
  }

  /** Tokens from {@code store.left()} to {@code leaving} leave the window. */
  void age(long leaving) {
    describe();
    Threads.forRanges(leaving - store.left(), store.grain(), age);
  }

  /** As many tokens as the tensors have rows, from {@code first} on. */
  void read(long first, Tensor outK, Tensor outV) {
    readFirst = first;
    run(outK, outV, outK.size(0), read);
  }

  private void run(Tensor keys, Tensor values, long tokens, RangeTask task) {
    describe();
    k = keys;
    v = values;
    try {
      Threads.forRanges(tokens, store.grain(), task);
    } finally {
      k = null;
      v = null;
    }
  }

  private void appendRange(long from, long to) {
    if (k != null && v != null) {
      store.kernels().append(store, store.length(), k, v, from, to);
    }
  }

  private void appendPackedRange(long from, long to) {
    if (k != null && v != null) {
      store.kernels().appendPacked(store, store.length(), k, v, from, to);
    }
  }

  private void ageRange(long from, long to) {
    store.kernels().age(store, store.left() + from, store.left() + to);
  }

  private void readRange(long from, long to) {
    if (k != null && v != null) {
      store.kernels().read(store, readFirst, k, v, from, to);
    }
  }

  /** The fields of {@code Cache}. */
  private void describe() {
    CacheFormat format = store.format();
    KeyConstants constants = store.constants();
    Page sinkPage = store.sinks().page();
    fields.from(0);
    fields.put(store.exactPages().address());
    fields.put(format.exact().kvHeads());
    fields.put(format.exact().row());
    fields.put(format.exact().tokens());
    fields.put(format.exact().dtype().ordinal());
    fields.put(format.exact().headDim());
    fields.put(store.exactFirst());
    fields.put(store.exactStart());
    fields.put(store.length());
    fields.put(store.packedPages().address());
    fields.put(store.left());
    fields.put(format.window());
    fields.put(format.flush());
    fields.put(sinkPage == null ? 0 : sinkPage.address());
    fields.put(store.sinks().positionsAddress());
    fields.put(store.sinks().count());
    fields.put(format.transformCode());
    fields.put(format.rotation());
    fields.put(constants == null ? 0 : constants.order());
    fields.put(constants == null ? 0 : constants.rope());
    fields.put(constants == null ? 0 : constants.half());
    fields.put(constants == null ? 0 : constants.mean());
    fields.put(constants == null ? 0 : constants.dense());
    if (format.key() != null && format.value() != null) {
      format.key().describe(fields);
      format.value().describe(fields);
    }
  }

  /** The fields of {@code AttentionCall}. */
  void describe(Tensor q, float scale, Tensor out) {
    describe();
    fields.from(CACHE_FIELDS);
    fields.put(q.size(0));
    fields.put(q.size(1) / store.layout().kvHeads());
    fields.put(q.address());
    fields.put(q.stride(0));
    fields.put(q.stride(1));
    fields.put(out.address());
    fields.put(out.stride(0));
    fields.put(out.stride(1));
    fields.put((double) scale);
    fields.put(0);
    fields.put(0);
    fields.put(0);
    fields.put(0);
  }

  /** The same of a part; see {@link AttentionKernels#attendPart}. */
  void describe(Tensor q, Tensor from, Tensor to, float scale, Tensor out, Tensor logSums) {
    describe(q, scale, out);
    fields.from(CACHE_FIELDS + CALL_FIELDS - 4);
    fields.put(from.address());
    fields.put(to.address());
    fields.put(logSums.address());
    fields.put(logSums.stride(0));
  }

  /** Sees to scratch memory of at least so many floats; what it held is lost. */
  void scratch(long floats) {
    if (scratch.bytes() < 4 * floats) {
      Memory larger = Memory.allocate(Math.max(4 * floats, 2 * scratch.bytes()));
      scratch.close();
      scratch = larger;
    }
  }

  /** The tiles of each head that the next grouped work is about. */
  void tiles(long from, long to) {
    tileFrom = from;
    tileTo = to;
  }

  /** Does {@code items} pieces of what was described. */
  void run(Work what, long items) {
    work = what;
    Threads.forRanges(items, 1, attend);
  }

  private void attendRange(long from, long to) {
    long at = address();
    switch (work) {
      case TILES -> KvQuantKernels.attendTiles(at, from, to);
      case RANGES -> KvQuantKernels.attendRanges(at, scratch.address(), from, to);
      case MERGE -> KvQuantKernels.mergeRanges(at, scratch.address(), from, to);
      case GROUPED_RANGES ->
          KvQuantKernels.attendGrouped(at, scratch.address(), tileFrom, tileTo, from, to);
      case GROUPED_MERGE ->
          KvQuantKernels.mergeGrouped(at, scratch.address(), tileFrom, tileTo, from, to);
    }
  }

  @Override
  public void close() {
    fields.close();
    scratch.close();
  }
}
