package io.github.lightning4j.kvquant;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import io.github.lightning4j.kvquant.transform.KvTransform.PermutationScope;
import io.github.lightning4j.kvquant.transform.RandomPairs;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** Formats for the tests of quantized caches, and a cache filled with random tokens. */
final class QuantizedScene implements AutoCloseable {
  static final TokenPolicy AT_ONCE = TokenPolicy.NONE.withQuantizedPrefill(true);
  static final KvQuantizer LLOYD_MAX = KvQuantizer.lloydMax(2, 128, ScaleFormat.LOG8);

  final MemoryScope scope = new MemoryScope();
  final KvCacheConfig config;
  final int heads;
  final Tensor q;
  final Tensor k;
  final Tensor v;
  final float scale;

  QuantizedScene(KvCacheConfig config, int length, int group) {
    this.config = config;
    this.heads = config.kvHeads() * group;
    int dim = config.headDim();
    q = scope.add(Cases.normal(length + dim, DType.F32, length, heads, dim));
    k = scope.add(Cases.normal(2 + length, DType.F32, length, config.kvHeads(), dim));
    v = scope.add(Cases.normal(3 + length, DType.F32, length, config.kvHeads(), dim));
    scale = (float) Math.pow(dim, -0.5);
  }

  static KvQuantizer affine(int bits, int group) {
    return KvQuantizer.affine(
        bits, group, Clip.paper(bits == 2 ? 0.8 : 1), ScaleFormat.LOG8, ZeroFormat.INTEGER);
  }

  static KvQuantizer wide(int bits, int group) {
    return KvQuantizer.affine(bits, group, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT);
  }

  static KvCacheConfig plain(int kvHeads, int dim, KvQuantizer quantizer) {
    return KvCacheConfig.quantized(kvHeads, dim, KvFormat.both(quantizer));
  }

  static KvCacheConfig rotated(int kvHeads, int dim, KvQuantizer quantizer) {
    return plain(kvHeads, dim, quantizer).withTransform(new KvTransform.HeadHadamard(), null);
  }

  static KvCacheConfig grouped(int kvHeads, int dim, int rotated, KvQuantizer quantizer) {
    return plain(kvHeads, dim, quantizer)
        .withTransform(
            new KvTransform.PreRopeGrouped(rotated, PermutationScope.LAYER),
            basis(kvHeads, dim, rotated, dim / 2));
  }

  /** Keys whose mean was taken off; the scenes' keys have none, so this puts one in. */
  static KvCacheConfig centered(int kvHeads, int dim, KvQuantizer quantizer) {
    float[] mean = new float[kvHeads * dim];
    Random random = new Random(5);
    for (int i = 0; i < mean.length; i++) {
      mean[i] = (float) random.nextGaussian();
    }
    KeyBasis basis = KeyBasis.centered(mean, basis(kvHeads, dim, 1, dim / 4).inverseFrequencies());
    return plain(kvHeads, dim, quantizer).withTransform(new KvTransform.CenteredHadamard(), basis);
  }

  /** Heads in dense bases of their own. */
  static KvCacheConfig dense(int kvHeads, int dim, KvQuantizer quantizer) {
    List<DensePair> keys = new ArrayList<>();
    List<DensePair> values = new ArrayList<>();
    for (int h = 0; h < kvHeads; h++) {
      keys.add(RandomPairs.of(2 * h, dim));
      values.add(RandomPairs.of(2 * h + 1, dim));
    }
    return plain(kvHeads, dim, quantizer)
        .withTransform(new KvTransform.DensePair(), KeyBasis.dense(keys, values));
  }

  static KeyBasis basis(int kvHeads, int dim, int rotated, int half) {
    List<Integer> order = new ArrayList<>();
    for (int i = 0; i < kvHeads * dim; i++) {
      order.add(i);
    }
    Collections.shuffle(order, new Random(7));
    float[] frequencies = new float[half];
    for (int j = 0; j < half; j++) {
      frequencies[j] = (float) Math.pow(10_000, -(double) j / half);
    }
    int[] permutation = order.stream().mapToInt(i -> i).toArray();
    return KeyBasis.grouped(new GroupedBasis(kvHeads, dim, rotated, permutation), frequencies);
  }

  /** Every kind of format, with sizes that do not fit one another. */
  static List<KvCacheConfig> formats() {
    return List.of(
        plain(2, 128, affine(2, 128)),
        plain(1, 64, affine(2, 64)),
        plain(2, 96, affine(3, 128)),
        plain(1, 96, affine(4, 64)),
        plain(2, 24, wide(8, 32)),
        plain(1, 128, wide(8, 128)),
        rotated(2, 128, LLOYD_MAX),
        rotated(1, 128, affine(2, 128)),
        rotated(2, 64, KvQuantizer.lloydMax(3, 64, ScaleFormat.E4M3)),
        rotated(1, 64, KvQuantizer.lloydMax(4, 32, ScaleFormat.FP16)),
        rotated(2, 96, affine(2, 128)),
        rotated(2, 64, LLOYD_MAX),
        rotated(3, 32, LLOYD_MAX),
        rotated(1, 96, LLOYD_MAX),
        rotated(1, 192, LLOYD_MAX),
        rotated(1, 256, KvQuantizer.lloydMax(2, 64, ScaleFormat.FP16)),
        rotated(1, 48, LLOYD_MAX),
        plain(2, 32, affine(2, 32)),
        plain(1, 160, wide(2, 64)),
        plain(1, 224, affine(2, 128)),
        rotated(1, 24, affine(4, 32)),
        dense(2, 128, affine(2, 128)),
        dense(3, 48, wide(4, 64)),
        grouped(4, 128, 4, affine(2, 128)),
        grouped(4, 96, 4, affine(2, 128)),
        grouped(2, 24, 1, affine(4, 32)),
        grouped(2, 128, 2, affine(3, 128)),
        grouped(2, 64, 2, affine(2, 128)),
        grouped(4, 32, 2, affine(4, 32)),
        grouped(2, 64, 1, wide(2, 64)));
  }

  /** Whether the cache's 2-bit groups are read as integers. */
  static boolean isSmall(KvCacheConfig config) {
    return config.format() != null
        && config.format().value().bits() == 2
        && config.headDim() % 32 == 0
        && (config.format().value().group() % 32 == 0
            || config.format().value().group() >= config.headDim());
  }

  KvCache cache(Backend backend) {
    return scope.add(KvCache.create(config, PageBudget.unlimited(), backend));
  }

  KvCache filled(Backend backend) {
    KvCache cache = cache(backend);
    cache.append(k, v);
    return cache;
  }

  void append(KvCache cache, long from, long count) {
    cache.append(k.narrow(0, from, count), v.narrow(0, from, count));
  }

  /** The outputs of the queries {@code [from, cache.length())}. */
  float[] attend(Backend backend, KvCache cache, long from) {
    long count = cache.length() - from;
    try (Tensor out = Tensor.allocate(DType.F32, count, heads, config.headDim())) {
      CacheAttention.of(backend).attend(q.narrow(0, from, count), cache, scale, out);
      return out.toFloats();
    }
  }

  @Override
  public void close() {
    scope.close();
  }
}
