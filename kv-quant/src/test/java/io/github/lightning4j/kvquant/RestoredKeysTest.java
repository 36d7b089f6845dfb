package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.kvquant.quantizer.Clip;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import io.github.lightning4j.kvquant.quantizer.ScaleFormat;
import io.github.lightning4j.kvquant.quantizer.ZeroFormat;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Keys whose stored form is all codes, so that quantizing loses nothing: attention must be that
 * over the keys themselves, with the rotary embedding after the rotation was undone and not before.
 */
final class RestoredKeysTest {
  private static final int HEADS = 4;
  private static final int DIM = 64;
  private static final int TOKENS = 150;
  private static final KvCacheConfig CONFIG =
      QuantizedScene.grouped(
              HEADS,
              DIM,
              HEADS,
              KvQuantizer.affine(8, 64, Clip.NONE, ScaleFormat.FP16, ZeroFormat.INTEGER))
          .withDtype(DType.F32);

  /** Had(n) in double. */
  private static double[] hadamard(double[] x) {
    for (int stride = 1; stride < x.length; stride *= 2) {
      for (int i = 0; i < x.length; i++) {
        if ((i & stride) == 0) {
          double a = x[i];
          x[i] = a + x[i + stride];
          x[i + stride] = a - x[i + stride];
        }
      }
    }
    for (int i = 0; i < x.length; i++) {
      x[i] /= Math.sqrt(x.length);
    }
    return x;
  }

  private static void turn(double[] x, int position) {
    float[] frequencies = CONFIG.keyBasis().inverseFrequencies();
    for (int head = 0; head < x.length; head += DIM) {
      for (int j = 0; j < DIM / 2; j++) {
        double c = Math.cos(position * (double) frequencies[j]);
        double s = Math.sin(position * (double) frequencies[j]);
        double a = x[head + j];
        double b = x[head + j + DIM / 2];
        x[head + j] = a * c - b * s;
        x[head + j + DIM / 2] = b * c + a * s;
      }
    }
  }

  /** What is stored of a token: whole numbers that reach from -128 to 127 in every group. */
  private static double[] stored(Random random) {
    double[] row =
        IntStream.range(0, HEADS * DIM).mapToDouble(i -> random.nextInt(256) - 128).toArray();
    for (int group = 0; group < row.length; group += 64) {
      row[group] = -128;
      row[group + 1] = 127;
    }
    return row;
  }

  private static double[] unpermuted(double[] stored) {
    int[] permutation = CONFIG.keyBasis().rotation().permutation();
    double[] rotated = new double[stored.length];
    for (int i = 0; i < stored.length; i++) {
      rotated[permutation[i]] = stored[i];
    }
    return rotated;
  }

  private static Tensor keys(MemoryScope scope, double[][] rows) {
    Tensor k = scope.allocate(DType.F32, TOKENS, HEADS, DIM);
    for (int t = 0; t < TOKENS; t++) {
      for (int i = 0; i < rows[t].length; i++) {
        k.accessor().set((long) t * HEADS * DIM + i, rows[t][i]);
      }
    }
    return k;
  }

  @ParameterizedTest
  @EnumSource(names = {"REFERENCE", "CPU"})
  void attentionIsThatOverTheKeysTurnedAfterTheRotation(Backend backend) {
    assumeTrue(backend != Backend.CPU || CacheAttention.availability().isAvailable());
    Random random = new Random(3);
    double[][] before = new double[TOKENS][];
    double[][] turned = new double[TOKENS][];
    double[][] swapped = new double[TOKENS][];
    for (int t = 0; t < TOKENS; t++) {
      double[] stored = stored(random);
      before[t] = hadamard(unpermuted(stored));
      turned[t] = before[t].clone();
      turn(turned[t], t);
      swapped[t] = unpermuted(stored);
      turn(swapped[t], t);
      hadamard(swapped[t]);
    }
    try (QuantizedScene scene = new QuantizedScene(CONFIG, TOKENS, 2)) {
      KvCache cache = scene.cache(backend);
      cache.append(keys(scene.scope, before), scene.v);
      Tensor values = scene.scope.allocate(DType.F32, TOKENS, HEADS, DIM);
      cache.read(scene.scope.allocate(DType.F32, TOKENS, HEADS, DIM), values);
      float scale = 0.004f;
      Tensor out = scene.scope.allocate(DType.F32, 3, scene.heads, DIM);
      Tensor q = scene.q.narrow(0, TOKENS - 3, 3);
      CacheAttention.of(backend).attend(q, cache, scale, out);
      double[] expected = DenseAttention.of(q, keys(scene.scope, turned), values, scale);
      double[] wrong = DenseAttention.of(q, keys(scene.scope, swapped), values, scale);
      Closeness.assertNmse("restored keys", out.toDoubles(), expected, 1e-8);
      assertThat(distance(expected, wrong)).isGreaterThan(1e-2);
    }
  }

  /** Sums of whole rows of the largest code are the most that 16 bits have to hold. */
  @ParameterizedTest
  @EnumSource(names = {"INTEGER", "FRACTIONAL"})
  void rowsOfTheLargestCodesDoNotOverflow(ZeroFormat zero) {
    assumeTrue(CacheAttention.availability().isAvailable());
    KvCacheConfig config =
        QuantizedScene.grouped(
                HEADS, DIM, HEADS, KvQuantizer.affine(2, 128, Clip.NONE, ScaleFormat.FP16, zero))
            .withDtype(DType.F32);
    int[] permutation = config.keyBasis().rotation().permutation();
    double[][] rows = new double[TOKENS][];
    for (int t = 0; t < TOKENS; t++) {
      double[] rotated = new double[HEADS * DIM];
      for (int i = 0; i < rotated.length; i++) {
        // From -1 to 2 in every group, with a zero point of 1; nearly all are 2, or -1.
        boolean odd = i % 128 == t % 128;
        rotated[permutation[i]] = t % 2 == 0 ^ odd ? 2 : -1;
      }
      rows[t] = hadamard(rotated);
    }
    try (QuantizedScene scene = new QuantizedScene(config, TOKENS, 2)) {
      Tensor keys = keys(scene.scope, rows);
      Tensor q = scene.q.narrow(0, TOKENS - 3, 3);
      double[][] outs = new double[2][];
      for (Backend backend : List.of(Backend.REFERENCE, Backend.CPU)) {
        KvCache cache = scene.cache(backend);
        cache.append(keys, scene.v);
        Tensor out = scene.scope.allocate(DType.F32, 3, scene.heads, DIM);
        CacheAttention.of(backend).attend(q, cache, 0.1f, out);
        outs[backend == Backend.CPU ? 1 : 0] = out.toDoubles();
      }
      Closeness.assertNmse("largest codes", outs[1], outs[0], 1e-3);
    }
  }

  private static double distance(double[] a, double[] b) {
    double error = 0;
    double size = 0;
    for (int i = 0; i < a.length; i++) {
      error += (a[i] - b[i]) * (a[i] - b[i]);
      size += a[i] * a[i];
    }
    return error / size;
  }
}
