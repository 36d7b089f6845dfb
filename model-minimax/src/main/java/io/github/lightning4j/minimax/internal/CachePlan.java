package io.github.lightning4j.minimax.internal;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.PageBudget;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.kvquant.calibration.LayerCalibration;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.minimax.KvCacheFormat;
import io.github.lightning4j.minimax.MiniMaxConfig;
import io.github.lightning4j.minimax.MiniMaxConfig.LayerKind;
import io.github.lightning4j.vlmquant.LayerPattern;
import io.github.lightning4j.vlmquant.VlmCache;
import io.github.lightning4j.vlmquant.VlmCacheConfig;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** What the caches of a model hold of each softmax layer in one format; shared by sessions. */
public final class CachePlan {
  /** One softmax layer. */
  interface Layer {
    /** An empty cache whose pages count against a budget, and what goes on around it. */
    LayerCache empty(PageBudget budget);
  }

  /**
   * A layer whose cache knows no classes.
   *
   * @param config what its caches hold
   * @param rounding where keys are rounded by channel
   * @param pages they take
   */
  record KvLayer(KvCacheConfig config, @Nullable ChannelRounding rounding, LayerPages pages)
      implements Layer {
    static KvLayer of(KvCacheConfig config) {
      return new KvLayer(config, null, LayerPages.of(config, config.tokens()));
    }

    static KvLayer rounding(KvCacheConfig exact, ChannelRounding rounding) {
      return new KvLayer(exact, rounding, LayerPages.of(exact, rounding.tokens()));
    }

    /** As {@link LayerPages#lasting}. */
    long lastingBytes(long length) {
      return pages.lasting(length, rounding != null);
    }

    /** As {@link LayerPages#needed}. */
    long bytesNeeded(long length, long aged, long after, boolean shared) {
      return pages.needed(length, aged, after, shared, rounding != null);
    }

    @Override
    public LayerCache empty(PageBudget budget) {
      return new KvLayerCache(KvCache.create(config, budget), this);
    }
  }

  /**
   * A layer whose cache knows classes of tokens.
   *
   * @param config what its caches hold
   */
  record ClassLayer(VlmCacheConfig config) implements Layer {
    @Override
    public LayerCache empty(PageBudget budget) {
      return new ClassLayerCache(VlmCache.create(config, budget));
    }
  }

  private final KvCacheFormat format;
  private final PageBudget budget;
  private final List<@Nullable Layer> layers = new ArrayList<>();

  /**
   * Plans all layers.
   *
   * @param calibration of this model; null for none
   * @param budget what the pages of all caches count against
   * @throws IllegalArgumentException if heads or layers do not fit the format, or it cannot do
   *     without a calibration
   */
  public CachePlan(
      MiniMaxConfig config,
      KvCacheFormat format,
      @Nullable Calibration calibration,
      PageBudget budget) {
    this.format = format;
    this.budget = budget;
    int caches = count(config);
    checkArgument(
        calibration == null || calibration.layers().size() == caches,
        "calibration: expected %s layers, got %s",
        caches,
        calibration == null ? 0 : calibration.layers().size());
    int cache = 0;
    for (int i = 0; i < config.layers().size(); i++) {
      if (config.layers().get(i) == LayerKind.LIGHTNING) {
        layers.add(null);
      } else {
        LayerCalibration known = calibration == null ? null : calibration.layers().get(cache);
        layers.add(layer(config.attention(), i, cache++, caches, known));
      }
    }
  }

  /** Softmax layers of a model. */
  public static int count(MiniMaxConfig config) {
    return Math.toIntExact(
        config.layers().stream().filter(kind -> kind != LayerKind.LIGHTNING).count());
  }

  private Layer layer(
      MiniMaxConfig.AttentionConfig sizes,
      int index,
      int cache,
      int caches,
      @Nullable LayerCalibration known) {
    if (format.classes().isPresent()) {
      VlmPolicy policy = format.classes().get();
      return new ClassLayer(
          new VlmCacheConfig(
              sizes.kvHeads(),
              sizes.headDim(),
              format.exact(),
              policy,
              pattern(policy, index, known),
              index));
    }
    KvCacheConfig exact = KvCacheConfig.exact(sizes.kvHeads(), sizes.headDim(), format.exact());
    if (format.policy().isEmpty()) {
      return KvLayer.of(exact);
    }
    KvPolicy policy = format.policy().get();
    if (!format.isPacked()) {
      return KvLayer.rounding(
          exact, new ChannelRounding(policy.format(cache, caches), policy.tokens()));
    }
    KvCacheConfig config =
        new KvCacheConfig(
            sizes.kvHeads(),
            sizes.headDim(),
            format.exact(),
            policy.format(cache, caches),
            policy.transform(),
            policy.tokens(),
            keyBasis(policy, sizes, known),
            index);
    return KvLayer.of(config);
  }

  /** Without a calibration no layer is known to look at text. */
  private static LayerPattern pattern(
      VlmPolicy policy, int index, @Nullable LayerCalibration known) {
    if (known == null) {
      return LayerPattern.PIVOT_SALIENT;
    }
    checkArgument(
        known.textSalience().isPresent(),
        "calibration: %s needs to know where layer %s looks; calibrate with prompts that have"
            + " pictures (minimax calibrate --image), or give no calibration",
        policy.name(),
        index);
    return LayerPattern.of(known.textSalience().getAsDouble(), LayerPattern.THRESHOLD);
  }

  private static @Nullable KeyBasis keyBasis(
      KvPolicy policy, MiniMaxConfig.AttentionConfig sizes, @Nullable LayerCalibration known) {
    KvTransform transform = policy.transform();
    if (transform instanceof KvTransform.PreRopeGrouped grouped) {
      GroupedBasis basis =
          known == null
              ? GroupedBasis.of(sizes.kvHeads(), sizes.headDim(), grouped.heads())
              : known.basis(grouped);
      return KeyBasis.grouped(basis, frequencies(sizes));
    }
    if (transform instanceof KvTransform.CenteredHadamard) {
      float[] mean = known == null ? new float[sizes.kvWidth()] : known.keyMean();
      return KeyBasis.centered(mean, frequencies(sizes));
    }
    if (transform instanceof KvTransform.DensePair) {
      checkArgument(
          known != null && !known.keyPairs().isEmpty() && !known.valuePairs().isEmpty(),
          "calibration: %s cannot do without; minimax calibrate makes one",
          policy.name());
      return KeyBasis.dense(known.keyPairs(), known.valuePairs());
    }
    return null;
  }

  private static float[] frequencies(MiniMaxConfig.AttentionConfig sizes) {
    try (Tensor frequencies = LayerConstants.inverseFrequencies(sizes)) {
      return frequencies.toFloats();
    }
  }

  /** What the pages of all caches count against. */
  public PageBudget budget() {
    return budget;
  }

  /** The format it is for. */
  public KvCacheFormat format() {
    return format;
  }

  /**
   * What the caches of all softmax layers hold, first to last; empty where they know classes of
   * tokens or keys are rounded by channel.
   */
  public Optional<List<KvCacheConfig>> configs() {
    List<KvCacheConfig> configs = new ArrayList<>();
    for (Layer layer : layers) {
      if (layer instanceof KvLayer kv && kv.rounding() == null) {
        configs.add(kv.config());
      } else if (layer != null) {
        return Optional.empty();
      }
    }
    return Optional.of(configs);
  }

  /** How the cache of a layer is made; null for a layer that has none. */
  @Nullable Layer layer(int index) {
    return layers.get(index);
  }
}
