package io.github.lightning4j.minimax.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.vlmquant.TokenClass;
import io.github.lightning4j.vlmquant.VlmAccount;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Function;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * What the layers remember of one sequence: a state for each lightning layer, a cache for each
 * softmax layer, and how many tokens they have seen.
 */
public final class SequenceState implements AutoCloseable {
  private final CachePlan plan;
  private final List<AutoCloseable> layers;
  private long position;
  private boolean inPrompt;
  private boolean promptEnds;
  private @Nullable InsertedRows inserted;

  private SequenceState(CachePlan plan, List<AutoCloseable> layers, long position) {
    this.plan = plan;
    this.layers = layers;
    this.position = position;
  }

  /** The state before the first token. */
  public static SequenceState empty(MiniMaxConfig config, CachePlan plan) {
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
        },
        0);
  }

  /** A copy that goes its own way; caches share their full pages. Not within a prompt. */
  public SequenceState fork() {
    checkState(!inPrompt, "a prompt is being read; fork behind its end");
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
        },
        position);
  }

  /** Makes one memory a layer; where one fails, those before it are closed. */
  private static <T> SequenceState collect(
      CachePlan plan, List<T> from, Function<T, AutoCloseable> make, long position) {
    SequenceState state = new SequenceState(plan, new ArrayList<>(), position);
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

  /** The cache of a softmax layer; not of a format that knows classes of tokens. */
  public KvCache cache(int layer) {
    return ((KvLayerCache) layerCache(layer)).cache();
  }

  /**
   * Puts another cache, of the same configuration, in the place of a softmax layer's, which is
   * closed.
   */
  public void replace(int layer, KvCache cache) {
    KvLayerCache before = (KvLayerCache) layerCache(layer);
    layers.set(layer, before.around(cache));
    before.close();
  }

  LayerCache layerCache(int layer) {
    return (LayerCache) layers.get(layer);
  }

  /** What the pages of the caches count against. */
  public PageBudget budget() {
    return plan.budget();
  }

  /** How the caches hold keys and values. */
  public KvCacheFormat format() {
    return plan.format();
  }

  /**
   * A prompt begins, in one call or several; or goes on, where one has begun.
   *
   * @param asQuantized whether its tokens read one another as quantized, whatever the policy says
   */
  public void beginPrompt(boolean asQuantized) {
    if (!inPrompt) {
      inPrompt = true;
      caches().forEach(cache -> cache.beginPrompt(asQuantized));
    }
  }

  /**
   * Tells whether the tokens read next are the last of the prompt. Each layer then ends it once
   * they have attended, so that not all layers hold it in 16 bits at once.
   */
  public void promptEnds(boolean ends) {
    promptEnds = inPrompt && ends;
  }

  /** As told of the tokens that are read. */
  boolean promptEnds() {
    return promptEnds;
  }

  /** The prompt is complete, if one has begun. */
  public void endPrompt() {
    if (inPrompt) {
      caches().forEach(LayerCache::endPrompt);
      inPrompt = false;
      promptEnds = false;
    }
  }

  /** Whether a prompt has begun and not ended: its sinks are not known yet. */
  public boolean inPrompt() {
    return inPrompt;
  }

  /** Looks at rows of what a layer gets, {@code [R, H]}, of the tokens it handles next. */
  void see(int layer, Tensor stream, long firstRow, long rows) {
    if (inPrompt && layers.get(layer) instanceof LayerCache cache) {
      cache.see(stream.narrow(0, firstRow, rows));
    }
  }

  /** Tokens seen, which is the position of the next one. */
  public long position() {
    return position;
  }

  /** Counts tokens whose layers have all been updated. */
  public void advance(long tokens) {
    position += tokens;
  }

  /** Lets rows stand for tokens to come; null: for none. */
  public void insert(@Nullable InsertedRows rows) {
    inserted = rows;
  }

  /** What stands for tokens to come; null: nothing. */
  @Nullable InsertedRows inserted() {
    return inserted;
  }

  /** TEXT or VISUAL for each of the next tokens; null: all are text. */
  TokenClass @Nullable [] classes(long tokens) {
    return inserted == null ? null : inserted.classes(position, tokens);
  }

  /** What the tokens of each softmax layer take by class; empty where classes are not known. */
  public List<VlmAccount> accounts() {
    return caches()
        .filter(ClassLayerCache.class::isInstance)
        .map(cache -> ((ClassLayerCache) cache).cache().account())
        .toList();
  }

  /** Bytes held outside the heap. */
  public long bytes() {
    long bytes = cacheBytes();
    for (AutoCloseable layer : layers) {
      bytes += layer instanceof Tensor state ? state.elements() * 4 : 0;
    }
    return bytes;
  }

  /** Bytes of the pages of all caches, also of those that forks share. */
  public long cacheBytes() {
    return caches().mapToLong(LayerCache::bytes).sum();
  }

  /** Bytes of the pages that states which go on from this one share for good. */
  public long lastingBytes() {
    return caches().mapToLong(LayerCache::lastingBytes).sum();
  }

  /**
   * Bytes of new pages that more tokens may take, at most, the end of a prompt included.
   *
   * @param guess whether the tokens are drafted
   * @param promptEnds whether they are the last of a prompt: one layer after the other ends it then
   */
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

  /** Bits of an element in packed pages, metadata included; 0 before there are any. */
  public double packedBitsPerElement() {
    return bitsPerElement(LayerCache::packedBytesPerToken);
  }

  /** Bits of an element of any token, metadata included; 0 before there are any. */
  public double storedBitsPerElement() {
    return position == 0 ? 0 : bitsPerElement(LayerCache::storedBytes) / position;
  }

  private double bitsPerElement(ToDoubleFunction<LayerCache> bytes) {
    long elements = caches().mapToLong(LayerCache::elements).sum();
    return elements == 0 ? 0 : 8 * caches().mapToDouble(bytes).sum() / elements;
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
