package io.github.lightning4j.jmh;

import static java.util.Collections.nCopies;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.KvCacheConfig.KeyBasis;
import io.github.lightning4j.kvquant.policy.KvFormat;
import io.github.lightning4j.kvquant.policy.KvPolicy;
import io.github.lightning4j.kvquant.policy.KvPresets;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.DensePair;
import io.github.lightning4j.kvquant.transform.GroupedBasis;
import io.github.lightning4j.kvquant.transform.KvTransform;
import java.util.Random;
import java.util.stream.IntStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Attention of one token over a cache of {@code tokens}: 8 kv heads and 32 query heads of 128
 * channels, on all threads. Successive calls take successive caches, together {@value #POOL_BYTES}
 * bytes or more, as the layers of a model are: the last-level cache holds none of them.
 */
public class CacheDecodeBenchmark extends OperatorBenchmark {
  static final long POOL_BYTES = 128L << 20;

  private static final int KV_HEADS = 8;
  private static final int HEADS = 32;
  private static final int DIM = 128;

  @Param({"32768"})
  int tokens;

  @Param({"bf16", "int8", "rotatekv-2", "lloyd-max-2", "kv2-centered", "kv2-wush"})
  String format;

  private final CacheAttention attention = CacheAttention.best();
  private KvCache[] caches;
  private Tensor q;
  private Tensor out;
  private int call;

  private static KvCacheConfig config(String format) {
    KvQuantizer int8 = KvQuantizer.affine(8, DIM, Clip.NONE, ScaleFormat.FP16, ZeroFormat.FLOAT);
    KvQuantizer lloydMax = KvQuantizer.lloydMax(2, DIM, ScaleFormat.LOG8);
    return switch (format) {
      case "bf16" -> KvCacheConfig.exact(KV_HEADS, DIM, DType.BF16);
      case "int8" -> KvCacheConfig.quantized(KV_HEADS, DIM, KvFormat.both(int8));
      case "lloyd-max-2" ->
          KvCacheConfig.quantized(KV_HEADS, DIM, KvFormat.both(lloydMax))
              .withTransform(new KvTransform.HeadHadamard(), null);
      default ->
          KvCacheConfig.of(KvPresets.of(format), 1, 3, KV_HEADS, DIM, basis(KvPresets.of(format)));
    };
  }

  private static KeyBasis basis(KvPolicy policy) {
    double[] means = new Random(1).doubles(KV_HEADS * DIM).toArray();
    float[] frequencies = new float[DIM / 2];
    IntStream.range(0, DIM / 2)
        .forEach(j -> frequencies[j] = (float) Math.pow(10_000, -2.0 * j / DIM));
    if (policy.transform() instanceof KvTransform.DensePair) {
      double[] unit = new double[DIM * DIM];
      IntStream.range(0, DIM).forEach(i -> unit[i * DIM + i] = 1);
      DensePair pair = DensePair.wush(unit, unit, DIM, DensePair.DAMPING);
      return KeyBasis.dense(nCopies(KV_HEADS, pair), nCopies(KV_HEADS, pair));
    }
    if (policy.transform() instanceof KvTransform.CenteredHadamard) {
      float[] mean = new float[means.length];
      IntStream.range(0, mean.length).forEach(i -> mean[i] = (float) means[i]);
      return KeyBasis.centered(mean, frequencies);
    }
    GroupedBasis basis =
        GroupedBasis.of(KV_HEADS, DIM, 4).orderedBy(means, KvTransform.PermutationScope.LAYER);
    return KeyBasis.grouped(basis, frequencies);
  }

  /** Fills the caches. */
  @Setup
  public void open() {
    q = normal(DType.F32, 1, HEADS, DIM);
    out = zeros(DType.F32, 1, HEADS, DIM);
    KvCache first = filled();
    caches = new KvCache[(int) Math.max(1, (POOL_BYTES + first.bytes() - 1) / first.bytes())];
    caches[0] = first;
    for (int i = 1; i < caches.length; i++) {
      caches[i] = filled();
    }
  }

  private KvCache filled() {
    Tensor k = normal(DType.F32, 1024, KV_HEADS, DIM);
    KvCache cache = KvCache.create(config(format));
    for (int at = 0; at < tokens; at += 1024) {
      cache.append(k, k);
    }
    return cache;
  }

  /** Closes the caches. */
  @TearDown
  public void closeCaches() {
    for (KvCache cache : caches) {
      cache.close();
    }
  }

  /** One token. */
  @Benchmark
  public Object decode() {
    call = (call + 1) % caches.length;
    attention.attend(q, caches[call], 0.088f, out);
    return out;
  }
}
