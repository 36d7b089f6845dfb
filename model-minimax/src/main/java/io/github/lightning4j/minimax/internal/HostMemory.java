package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Of a sequence on the CPU: a state for each lightning layer, a cache for each softmax layer. */
public final class HostMemory implements SequenceMemory {
  private final CachePlan plan;
  private final List<AutoCloseable> layers;

  private HostMemory(CachePlan plan, List<AutoCloseable> layers) {
    this.plan = plan;
    this.layers = layers;
  }

  /** What layers on the CPU remember of a sequence that runs there. */
  public static HostMemory of(SequenceState state) {
    return (HostMemory) state.memory();
  }

  /** Before the first token. */
  public static HostMemory empty(MiniMaxConfig config, CachePlan plan) {
    var attention = config.attention();
    long d = attention.headDim();
    return collect(
        plan,
        IntStream.range(0, config.layers().size()).boxed().toList(),
        i -> {
          CachePlan.Layer layer = plan.layer(i);
          return layer == null
              ? Tensor.allocate(DType.F32, 1, attention.heads(), d, d)
              : layer.empty(plan.budget());
        });
  }

  @Override
  public HostMemory fork() {
    return collect(
        plan,
        layers,
        layer -> {
          if (layer instanceof LayerCache cache) {
            return cache.fork();
          }
          Tensor original = (Tensor) layer;
          Tensor copy = Tensor.allocate(DType.F32, original.shape());
          copy.copyFrom(original);
          return copy;
        });
  }

  @Override
  public String snapshotKind() {
    return new HostSnapshot(this).kind();
  }

  @Override
  public Map<String, Tensor> save(MemoryScope scope) {
    return new HostSnapshot(this).save(scope);
  }

  @Override
  public void load(SnapshotTensors from, long tokens) {
    new HostSnapshot(this).load(from, tokens);
  }

  /** How many layers there are. */
  int size() {
    return layers.size();
  }

  /** Whether a layer has a state, and no cache. */
  boolean isLightning(int layer) {
    return layers.get(layer) instanceof Tensor;
  }

  /** Makes one memory a layer; where one fails, those before it are closed. */
  private static <T> HostMemory collect(
      CachePlan plan, List<T> from, Function<T, AutoCloseable> make) {
    HostMemory state = new HostMemory(plan, new ArrayList<>());
    try {
      from.forEach(item -> state.layers.add(make.apply(item)));
      return state;
    } catch (RuntimeException | Error e) {
      state.close();
      throw e;
    }
  }

  /** The state {@code [1, heads, d, d]} of a lightning layer. */
  public Tensor lightning(int layer) {
    return (Tensor) layers.get(layer);
  }

  /** The cache of a softmax layer; not of a format that knows classes of tokens. */
  public KvCache cache(int layer) {
    return ((KvLayerCache) layerCache(layer)).cache();
  }

  /**
   * Puts another cache, of the same configuration, in the place of a softmax layer's, which is
   * closed.
   */
  void replace(int layer, KvCache cache) {
    KvLayerCache before = (KvLayerCache) layerCache(layer);
    layers.set(layer, before.around(cache));
    before.close();
  }

  LayerCache layerCache(int layer) {
    return (LayerCache) layers.get(layer);
  }

  @Override
  public PageBudget budget() {
    return plan.budget();
  }

  @Override
  public KvCacheFormat format() {
    return plan.format();
  }

  @Override
  public void beginPrompt(boolean asQuantized) {
    caches().forEach(cache -> cache.beginPrompt(asQuantized));
  }

  @Override
  public void endPrompt() {
    caches().forEach(LayerCache::endPrompt);
  }

  /** Pages are taken one by one, from a budget that the step has set aside. */
  @Override
  public void reserve(long tokens) {}

  /** Looks at rows of what a layer gets, {@code [R, H]}, of the tokens it handles next. */
  void see(int layer, Tensor stream, long firstRow, long rows) {
    if (layers.get(layer) instanceof LayerCache cache) {
      cache.see(stream.narrow(0, firstRow, rows));
    }
  }

  @Override
  public List<VlmAccount> accounts() {
    return caches()
        .filter(ClassLayerCache.class::isInstance)
        .map(cache -> ((ClassLayerCache) cache).cache().account())
        .toList();
  }

  @Override
  public long bytes() {
    long bytes = cacheBytes();
    for (AutoCloseable layer : layers) {
      bytes += layer instanceof Tensor state ? state.elements() * 4 : 0;
    }
    return bytes;
  }

  @Override
  public long cacheBytes() {
    return caches().mapToLong(LayerCache::bytes).sum();
  }

  @Override
  public long lastingBytes() {
    return caches().mapToLong(LayerCache::lastingBytes).sum();
  }

  @Override
  public long bytesNeeded(long tokens, boolean guess, boolean promptEnds) {
    if (!promptEnds) {
      return caches().mapToLong(layer -> layer.bytesNeeded(tokens, guess)).sum();
    }
    return caches().mapToLong(layer -> layer.bytesKept(tokens, guess)).sum()
        + caches()
            .mapToLong(layer -> layer.bytesNeeded(tokens, guess) - layer.bytesKept(tokens, guess))
            .max()
            .orElse(0);
  }

  @Override
  public double packedBitsPerElement() {
    double bytes = caches().mapToDouble(LayerCache::packedBytesPerToken).sum();
    return elements() == 0 ? 0 : 8 * bytes / elements();
  }

  @Override
  public long storedBytes() {
    return caches().mapToLong(LayerCache::storedBytes).sum();
  }

  @Override
  public long elements() {
    return caches().mapToLong(LayerCache::elements).sum();
  }

  private Stream<LayerCache> caches() {
    return layers.stream().filter(LayerCache.class::isInstance).map(LayerCache.class::cast);
  }

  @Override
  public void close() {
    for (AutoCloseable layer : layers) {
      if (layer instanceof LayerCache cache) {
        cache.close();
      } else {
        ((Tensor) layer).close();
      }
    }
  }
}
