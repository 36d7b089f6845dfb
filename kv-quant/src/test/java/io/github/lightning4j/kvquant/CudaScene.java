package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Gpu;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** Sequences of given lengths in a cache on a GPU, and each of them in one of the reference. */
final class CudaScene implements AutoCloseable {
  final Gpu gpu;
  final KvCacheConfig config;
  final int[] lengths;
  final CudaKvPages pages;
  final CudaKvPages aged;
  final CudaKvCache cache;
  final List<KvCache> references = new ArrayList<>();
  final MemoryScope scope = new MemoryScope();

  /** Keys and values of all sequences, one behind the other, BF16 on the host. */
  final Tensor k;

  final Tensor v;

  CudaScene(Gpu gpu, KvCacheConfig config, int... lengths) {
    this.gpu = gpu;
    this.config = config;
    this.lengths = lengths;
    int tokens = 0;
    int most = 1;
    for (int length : lengths) {
      tokens += length;
      most = Math.max(most, length);
    }
    pages = CudaKvPages.create(gpu.device(), lengths.length, most + 64L, tokens / 64 + 64);
    aged = CudaKvPages.create(gpu.device(), lengths.length, most + 64L, tokens / 64 + 64);
    cache =
        config.format() == null
            ? CudaKvCache.create(pages, config)
            : CudaKvCache.create(pages, aged, config);
    k = scope.add(Cases.normal(1, DType.BF16, tokens, config.kvHeads(), config.headDim()));
    v = scope.add(Cases.normal(2, DType.BF16, tokens, config.kvHeads(), config.headDim()));
    for (int length : lengths) {
      references.add(KvCache.create(config, PageBudget.unlimited(), Backend.REFERENCE));
    }
  }

  /** The index of a sequence's first token in {@link #k}. */
  int first(int sequence) {
    int first = 0;
    for (int i = 0; i < sequence; i++) {
      first += lengths[i];
    }
    return first;
  }

  /** Gives both sides all tokens, the GPU in one call; these of each sequence are sinks. */
  void fill(int... sinks) {
    int n = lengths.length;
    int[] sequences = new int[n];
    int[] offsets = new int[n + 1];
    for (int i = 0; i < n; i++) {
      sequences[i] = i;
      offsets[i + 1] = offsets[i] + lengths[i];
      reserve(i, lengths[i]);
      cache.begin(gpu.stream(), i);
      int length = lengths[i];
      int[] own = IntStream.of(sinks).filter(sink -> sink < length).toArray();
      cache.keep(gpu.stream(), i, own);
      references.get(i).beginPrompt();
      reference(i, 0, lengths[i]);
      references.get(i).endPrompt(IntStream.of(own).asLongStream().toArray());
    }
    publish();
    CudaKvRows rows = CudaKvRows.packed(ints(sequences), ints(new int[n]), ints(offsets));
    cache.append(gpu.stream(), there(k), there(v), rows);
    cache.age(gpu.stream(), rows);
  }

  void reserve(int sequence, int tokens) {
    pages.reserve(sequence, tokens);
    if (config.format() != null) {
      aged.reserve(sequence, tokens);
    }
  }

  void publish() {
    pages.publish(gpu.stream());
    aged.publish(gpu.stream());
  }

  /** Appends tokens {@code [from, to)} of a sequence to its reference. */
  void reference(int sequence, int from, int to) {
    long at = first(sequence) + (long) from;
    references
        .get(sequence)
        .append(wide(k.narrow(0, at, to - from)), wide(v.narrow(0, at, to - from)));
  }

  /** A copy as F32 on the host. */
  Tensor wide(Tensor x) {
    return scope.add(Tensor.of(x.toFloats(), x.shape()));
  }

  /** A copy on the GPU. */
  Tensor there(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  Tensor ints(int... values) {
    return gpu.up(Tensor.of(values, values.length));
  }

  /** What the reference says of queries {@code [T, heads, headDim]} at the end of a sequence. */
  double[] attended(Tensor q, int sequence, float scale) {
    Tensor out = scope.allocate(DType.F32, q.shape());
    CacheAttention.of(Backend.REFERENCE).attend(wide(q), references.get(sequence), scale, out);
    return out.toDoubles();
  }

  @Override
  public void close() {
    references.forEach(KvCache::close);
    gpu.stream().synchronize();
    cache.close();
    pages.close();
    aged.close();
    scope.close();
  }
}
