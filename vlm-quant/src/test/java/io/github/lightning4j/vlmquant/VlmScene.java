package io.github.lightning4j.vlmquant;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Float16;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import io.github.lightning4j.kvquant.transform.Hadamard;
import java.util.Arrays;
import java.util.Random;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;

/** Random tokens of both modalities, and attention over them by the definition, in double. */
final class VlmScene implements AutoCloseable {
  static final int KV_HEADS = 2;
  static final int HEADS = 6;
  static final int LAYER = 3;

  final MemoryScope scope = new MemoryScope();
  final VlmCacheConfig config;
  final TokenClass[] classes;
  final Tensor q;
  final Tensor k;
  final Tensor v;
  final float scale;
  final long[] pivots;

  VlmScene(VlmCacheConfig config, int length, long seed) {
    int dim = config.headDim();
    this.config = config;
    classes = new TokenClass[length];
    for (int t = 0; t < length; t++) { // 7 of text, 11 of a picture, and so on
      classes[t] = t % 18 < 7 ? TokenClass.TEXT : TokenClass.VISUAL;
    }
    q = scope.add(Cases.normal(seed, DType.F32, length, HEADS, dim));
    k = scope.add(Cases.normal(seed + 1, DType.F32, length, KV_HEADS, dim));
    v = scope.add(Cases.normal(seed + 2, DType.F32, length, KV_HEADS, dim));
    scale = (float) Math.pow(dim, -0.5);
    pivots =
        Arrays.stream(new long[] {1, length / 3, length / 2})
            .filter(token -> token < length)
            .distinct()
            .limit(config.pivots())
            .toArray();
  }

  static VlmCacheConfig config(int dim, LayerPattern pattern, int window) {
    VlmPolicy policy = VlmPolicy.preset("akvq-2").withRecentWindow(window);
    return VlmCacheConfig.of(KV_HEADS, dim, policy, pattern, LAYER);
  }

  VlmCache cache() {
    return scope.add(VlmCache.create(config));
  }

  void append(VlmCache cache, int from, int count) {
    cache.append(
        k.narrow(0, from, count),
        v.narrow(0, from, count),
        Arrays.copyOfRange(classes, from, from + count));
  }

  /** All keys and values as they are held. */
  static float[] contents(VlmCache cache) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor kv =
          scope.allocate(
              DType.F32, 2, cache.length(), cache.config().kvHeads(), cache.config().headDim());
      cache.read(kv.select(0, 0), kv.select(0, 1));
      return kv.toFloats();
    }
  }

  /** Random lengths of calls, of 1 to 130 tokens, that add up to a count. */
  static int[] cuts(Random random, int count) {
    IntStream.Builder cuts = IntStream.builder();
    for (int left = count; left > 0; ) {
      int next = Math.min(left, random.nextInt(3) == 0 ? 1 : 1 + random.nextInt(130));
      cuts.add(next);
      left -= next;
    }
    return cuts.build().toArray();
  }

  /** The outputs of the queries {@code [from, cache.length())}. */
  float[] attend(Backend backend, VlmCache cache, int from) {
    long count = cache.length() - from;
    try (Tensor out = Tensor.allocate(DType.F32, count, HEADS, config.headDim())) {
      VlmAttention.of(backend).attend(q.narrow(0, from, count), cache, scale, out);
      return out.toFloats();
    }
  }

  private boolean isPivot(int token) {
    return Arrays.stream(pivots).anyMatch(pivot -> pivot == token);
  }

  /** Bits of a token that is not recent, by the table of the specification. */
  int bits(int token) {
    if (config.pattern() == LayerPattern.TEXT_SALIENT) {
      return classes[token] == TokenClass.TEXT ? 4 : 2;
    }
    return isPivot(token) ? config.budget().pivot() : 2;
  }

  /** All rows as stored in so many bits, or their own for 0, in the basis they came in. */
  private double[][] held(Tensor rows, int bits) {
    int dim = config.headDim();
    int width = KV_HEADS * dim;
    try (Tensor rotated = Tensor.allocate(DType.F32, rows.size(0) * KV_HEADS, dim)) {
      rotated.copyFrom(rows.reshape(rows.size(0) * KV_HEADS, dim));
      Hadamard.best().apply(rotated, dim, rotated);
      float[] values = rotated.toFloats();
      for (int at = 0; at < values.length; at += dim) {
        float[] row = new float[dim];
        for (int i = 0; i < dim; i++) {
          row[i] = Float16.toFloat(Float16.fromFloat(values[at + i]));
        }
        float[] stored =
            bits == 16 ? row : quantizer(bits).dequantize(quantizer(bits).quantize(row));
        System.arraycopy(stored, 0, values, at, dim);
      }
      try (Tensor back = Tensor.of(values, rotated.shape())) {
        Hadamard.best().apply(back, dim, back);
        double[] all = back.toDoubles();
        double[][] result = new double[(int) rows.size(0)][];
        for (int t = 0; t < result.length; t++) {
          result[t] = Arrays.copyOfRange(all, t * width, (t + 1) * width);
        }
        return result;
      }
    }
  }

  private KvQuantizer quantizer(int bits) {
    if (bits == 2 && config.policy().name().equals("akvq-2-lm")) {
      return KvQuantizer.lloydMax(2, 128, ScaleFormat.LOG8);
    }
    return KvQuantizer.affine(
        bits, 128, Clip.paper(bits == 2 ? 0.8 : 1), ScaleFormat.LOG8, ZeroFormat.INTEGER);
  }

  /** What the queries {@code [from, to)} must give; with a staged prompt, all tokens are exact. */
  double[] expected(int from, int to, boolean staged) {
    return expected(from, to, t -> staged ? 0 : t + 1 - config.policy().recentWindow());
  }

  /** The same where the query at t reads the tokens before {@code aged(t)} in their bits. */
  double[] expected(int from, int to, IntUnaryOperator agedBefore) {
    double[][][] keys = new double[17][][];
    double[][][] values = new double[17][][];
    for (int bits : new int[] {2, 4, 16}) {
      keys[bits] = held(k, bits);
      values[bits] = held(v, bits);
    }
    int dim = config.headDim();
    double[] queries = q.toDoubles();
    double[] out = new double[(to - from) * HEADS * dim];
    for (int t = from; t < to; t++) {
      int aged = agedBefore.applyAsInt(t);
      for (int h = 0; h < HEADS; h++) {
        int channel = h / (HEADS / KV_HEADS) * dim;
        double total = 0;
        int at = ((t - from) * HEADS + h) * dim;
        for (int s = 0; s <= t; s++) {
          int bits = s < aged ? bits(s) : 16;
          double dot = 0;
          for (int i = 0; i < dim; i++) {
            dot += queries[(t * HEADS + h) * dim + i] * keys[bits][s][channel + i];
          }
          double weight = Math.exp(scale * dot);
          total += weight;
          for (int i = 0; i < dim; i++) {
            out[at + i] += weight * values[bits][s][channel + i];
          }
        }
        for (int i = 0; i < dim; i++) {
          out[at + i] /= total;
        }
      }
    }
    return out;
  }

  @Override
  public void close() {
    scope.close();
  }

  /** Those of the first tokens. */
  long[] pivots(int length) {
    return Arrays.stream(pivots).filter(token -> token < length).toArray();
  }

  /** A cache behind a prompt of the first tokens. */
  VlmCache prompted(int length) {
    VlmCache cache = cache();
    cache.beginPrompt();
    append(cache, 0, length);
    cache.endPrompt(pivots(length));
    return cache;
  }
}
