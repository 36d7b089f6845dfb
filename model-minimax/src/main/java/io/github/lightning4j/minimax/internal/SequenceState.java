package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;

/**
 * What the layers remember of one sequence: a state for each lightning layer, a cache for each
 * softmax layer, and how many tokens they have seen.
 */
public final class SequenceState implements AutoCloseable {
  private final List<AutoCloseable> layers;
  private long position;

  private SequenceState(List<AutoCloseable> layers, long position) {
    this.layers = layers;
    this.position = position;
  }

  /** The state before the first token. */
  public static SequenceState empty(MiniMaxConfig config, DType cacheType) {
    var attention = config.attention();
    long d = attention.headDim();
    return collect(
        config.layers(),
        kind ->
            kind == LayerKind.LIGHTNING
                ? Tensor.allocate(DType.F32, 1, attention.heads(), d, d)
                : KvCache.create(attention.kvHeads(), attention.headDim(), cacheType),
        0);
  }

  /** A copy that goes its own way; caches share their full pages. */
  public SequenceState fork() {
    return collect(
        layers,
        layer -> {
          if (layer instanceof KvCache cache) {
            return cache.fork();
          }
          Tensor original = (Tensor) layer;
          Tensor copy = Tensor.allocate(DType.F32, original.shape());
          copy.copyFrom(original);
          return copy;
        },
        position);
  }

  /** Makes one memory a layer; where one fails, those before it are closed. */
  private static <T> SequenceState collect(
      List<T> from, Function<T, AutoCloseable> make, long position) {
    SequenceState state = new SequenceState(new ArrayList<>(), position);
    try {
      from.forEach(item -> state.layers.add(make.apply(item)));
      return state;
    } catch (RuntimeException e) {
      state.close();
      throw e;
    }
  }

  /** The state {@code [1, heads, d, d]} of a lightning layer. */
  public Tensor lightning(int layer) {
    return (Tensor) layers.get(layer);
  }

  /** The cache of a softmax layer. */
  public KvCache cache(int layer) {
    return (KvCache) layers.get(layer);
  }

  /** Tokens seen, which is the position of the next one. */
  public long position() {
    return position;
  }

  /** Counts tokens whose layers have all been updated. */
  public void advance(long tokens) {
    position += tokens;
  }

  /** Bytes held outside the heap. */
  public long bytes() {
    long bytes = cacheBytes();
    for (AutoCloseable layer : layers) {
      bytes += layer instanceof Tensor state ? state.elements() * 4 : 0;
    }
    return bytes;
  }

  /** Those of the caches, which forks share. */
  public long cacheBytes() {
    long bytes = 0;
    for (AutoCloseable layer : layers) {
      bytes += layer instanceof KvCache cache ? cache.bytes() : 0;
    }
    return bytes;
  }

  @Override
  public void close() {
    for (AutoCloseable layer : layers) {
      if (layer instanceof KvCache cache) {
        cache.close();
      } else {
        ((Tensor) layer).close();
      }
    }
  }
}
