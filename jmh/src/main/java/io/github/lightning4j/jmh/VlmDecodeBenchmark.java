package io.github.lightning4j.jmh;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.CacheAttention;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.vlmquant.LayerPattern;
import io.github.lightning4j.vlmquant.TokenClass;
import io.github.lightning4j.vlmquant.VlmAttention;
import io.github.lightning4j.vlmquant.VlmCache;
import io.github.lightning4j.vlmquant.VlmCacheConfig;
import io.github.lightning4j.vlmquant.VlmPolicy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.LongStream;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.TearDown;

/**
 * A step of decoding in one layer, append and attention, behind prompts of {@code tokens} of which
 * two thirds are visual: 8 kv heads of 128 channels. Successive calls take successive caches,
 * together {@value #POOL_BYTES} bytes or more in each format: as many sequences as this memory
 * holds.
 */
public class VlmDecodeBenchmark extends OperatorBenchmark {
  static final long POOL_BYTES = 128L << 20;

  private static final int KV_HEADS = 8;
  private static final int DIM = 128;
  private static final float SCALE = 0.088f;
  private static final CacheAttention EXACT = CacheAttention.best();
  private static final VlmAttention CLASSED = VlmAttention.best();

  /** A cache of one sequence. */
  private interface Step extends AutoCloseable {
    void decode(Tensor q, Tensor kv, Tensor out);

    long bytes();

    @Override
    void close();
  }

  private record Exact(KvCache cache) implements Step {
    @Override
    public void decode(Tensor q, Tensor kv, Tensor out) {
      cache.append(kv, kv);
      EXACT.attend(q, cache, SCALE, out);
    }

    @Override
    public long bytes() {
      return cache.bytes();
    }

    @Override
    public void close() {
      cache.close();
    }
  }

  private record Classed(VlmCache cache) implements Step {
    @Override
    public void decode(Tensor q, Tensor kv, Tensor out) {
      cache.append(kv, kv);
      CLASSED.attend(q, cache, SCALE, out);
    }

    @Override
    public long bytes() {
      return cache.bytes();
    }

    @Override
    public void close() {
      cache.close();
    }
  }

  @Param({"500", "4096"})
  int tokens;

  @Param({"8", "32"})
  int heads;

  @Param({"bf16", "akvq-2", "akvq-2-text4"})
  String format;

  private final List<Step> caches = new ArrayList<>();
  private Tensor q;
  private Tensor next;
  private Tensor out;
  private int call;

  /** Fills the caches. */
  @Setup
  public void open() {
    q = normal(DType.F32, 1, heads, DIM);
    out = zeros(DType.F32, 1, heads, DIM);
    Tensor prompt = normal(DType.F32, tokens, KV_HEADS, DIM);
    next = prompt.narrow(0, 7, 1);
    for (long bytes = 0; bytes < POOL_BYTES; bytes += caches.get(0).bytes()) {
      caches.add(format.equals("bf16") ? exact(prompt) : classed(prompt));
    }
  }

  private static Step exact(Tensor prompt) {
    KvCache cache = KvCache.create(KV_HEADS, DIM, DType.BF16);
    cache.append(prompt, prompt);
    return new Exact(cache);
  }

  private Step classed(Tensor prompt) {
    VlmPolicy policy = VlmPolicy.preset(format);
    VlmCache cache =
        VlmCache.create(VlmCacheConfig.of(KV_HEADS, DIM, policy, LayerPattern.PIVOT_SALIENT, 0));
    TokenClass[] classes = new TokenClass[tokens];
    Arrays.setAll(classes, t -> t % 3 == 0 ? TokenClass.TEXT : TokenClass.VISUAL);
    cache.beginPrompt();
    cache.append(prompt, prompt, classes);
    cache.endPrompt(LongStream.range(0, policy.pivots()).toArray());
    return new Classed(cache);
  }

  /** Closes the caches. */
  @TearDown
  public void closeCaches() {
    caches.forEach(Step::close);
    caches.clear();
  }

  /** One token. */
  @Benchmark
  public Object decode() {
    call = (call + 1) % caches.size();
    caches.get(call).decode(q, next, out);
    return out;
  }
}
