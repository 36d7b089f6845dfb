package io.github.lightning4j.kvquant;

import static io.github.lightning4j.kvquant.QuantizedScene.affine;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Attention over several caches, merged: that over all tokens that each query sees in each. */
abstract class AttentionPartsContract {
  private static final int KV_HEADS = 2;
  private static final int HEADS = 6;

  abstract Backend backend();

  /** Caches of several formats, each with tokens of its own. */
  private static final class Scene implements AutoCloseable {
    final MemoryScope scope = new MemoryScope();
    final List<KvCache> caches = new ArrayList<>();
    final List<long[]> from = new ArrayList<>();
    final List<long[]> to = new ArrayList<>();
    final Tensor q;
    final int dim;
    final float scale;

    Scene(Backend backend, int dim, int queries, int... lengths) {
      this(backend, dim, 2, queries, lengths);
    }

    /** Every third cache has keys and values in so many bits and groups of 32 channels. */
    Scene(Backend backend, int dim, int bits, int queries, int[] lengths) {
      this.dim = dim;
      this.scale = (float) Math.pow(dim, -0.5);
      q = scope.add(Cases.normal(dim + queries, DType.F32, queries, HEADS, dim));
      List<KvCacheConfig> formats =
          List.of(
              KvCacheConfig.exact(KV_HEADS, dim, DType.F32),
              QuantizedScene.plain(KV_HEADS, dim, affine(4, 32)),
              QuantizedScene.rotated(KV_HEADS, dim, affine(bits, 32)));
      for (int i = 0; i < lengths.length; i++) {
        KvCache cache =
            scope.add(KvCache.create(formats.get(i % 3), PageBudget.unlimited(), backend));
        Tensor kv = scope.add(Cases.normal(i, DType.F32, 2, lengths[i], KV_HEADS, dim));
        cache.append(kv.select(0, 0), kv.select(0, 1));
        caches.add(cache);
        from.add(new long[queries]);
        to.add(new long[queries]);
        for (int t = 0; t < queries; t++) { // rising windows, the first of them empty or short
          to.get(i)[t] = (long) lengths[i] * t / Math.max(1, queries - 1);
          from.get(i)[t] = i == 1 ? 0 : to.get(i)[t] / 3;
        }
      }
    }

    Tensor attend(Backend backend) {
      Tensor out = scope.allocate(DType.F32, q.shape());
      Tensor logSums = scope.allocate(DType.F32, q.size(0), q.size(1));
      for (long i = 0; i < logSums.elements(); i++) {
        logSums.accessor().set(i, Double.NEGATIVE_INFINITY);
      }
      for (long i = 0; i < out.elements(); i++) {
        out.accessor().set(i, Double.NaN); // must not be read
      }
      for (int i = 0; i < caches.size(); i++) {
        Tensor first = scope.add(Tensor.of(from.get(i), q.size(0)));
        Tensor end = scope.add(Tensor.of(to.get(i), q.size(0)));
        CacheAttention.of(backend).attendPart(q, caches.get(i), first, end, scale, out, logSums);
      }
      return out;
    }

    /** The definition, in double: one softmax over what a query sees anywhere. */
    double[] expected() {
      double[] queries = q.toDoubles();
      double[] out = new double[queries.length];
      for (int t = 0; t < q.size(0); t++) {
        List<double[][]> seen = new ArrayList<>();
        for (int c = 0; c < caches.size(); c++) {
          for (long s = from.get(c)[t]; s < to.get(c)[t]; s++) {
            seen.add(token(caches.get(c), s));
          }
        }
        for (int h = 0; h < HEADS; h++) {
          row(queries, (t * HEADS + h) * dim, h / (HEADS / KV_HEADS) * dim, seen, out);
        }
      }
      return out;
    }

    private double[][] token(KvCache cache, long s) {
      try (Tensor kv = Tensor.allocate(DType.F32, 2, 1, KV_HEADS, dim)) {
        cache.read(s, kv.select(0, 0), kv.select(0, 1));
        return new double[][] {kv.select(0, 0).toDoubles(), kv.select(0, 1).toDoubles()};
      }
    }

    private void row(double[] queries, int at, int channel, List<double[][]> seen, double[] out) {
      double total = 0;
      double[] sums = new double[dim];
      for (double[][] token : seen) {
        double dot = 0;
        for (int i = 0; i < dim; i++) {
          dot += queries[at + i] * token[0][channel + i];
        }
        double weight = Math.exp(scale * dot);
        total += weight;
        for (int i = 0; i < dim; i++) {
          sums[i] += weight * token[1][channel + i];
        }
      }
      for (int i = 0; i < dim; i++) {
        out[at + i] = seen.isEmpty() ? Double.NaN : sums[i] / total;
      }
    }

    @Override
    public void close() {
      scope.close();
    }
  }

  /** Groups of 2 bits and 32 channels are read in integers. */
  @ParameterizedTest
  @CsvSource({"8, 2, 1e-10", "64, 3, 1e-10", "128, 3, 1e-10", "64, 2, 1e-3", "96, 2, 1e-3"})
  void isTheSoftmaxOverAllParts(int dim, int bits, double bound) {
    int[][] lengths = {{1, 1, 1}, {63, 2, 65}, {257, 129, 31}, {9, 600, 1}, {0, 7, 0}};
    for (int i = 0; i < lengths.length; i++) {
      for (int queries : new int[] {2, 9, 33}) {
        try (Scene scene = new Scene(backend(), dim, bits, queries, lengths[i])) {
          Closeness.assertNmse(
              Arrays.toString(lengths[i]) + " x " + queries,
              scene.attend(backend()).toDoubles(),
              scene.expected(),
              bound);
        }
      }
    }
  }

  @Test
  void oneWholePartIsPlainAttentionBitForBit() {
    try (Scene scene = new Scene(backend(), 64, 3, 200)) {
      scene.from.set(0, new long[3]);
      scene.to.set(0, new long[] {198, 199, 200});
      Tensor whole = scene.scope.allocate(DType.F32, scene.q.shape());
      CacheAttention.of(backend()).attend(scene.q, scene.caches.get(0), scene.scale, whole);
      assertThat(scene.attend(backend()).toFloats()).isEqualTo(whole.toFloats());
    }
  }

  @Test
  void anyNumberOfThreadsGivesTheSameBits() {
    int before = Threads.count();
    try (Scene scene = new Scene(backend(), 64, 2, 700, 600, 1100)) {
      Threads.use(1);
      float[] one = scene.attend(backend()).toFloats();
      Threads.use(4);
      assertThat(scene.attend(backend()).toFloats()).isEqualTo(one);
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void boundsThatDoNotRiseOrFitAreRefused() {
    try (Scene scene = new Scene(backend(), 64, 3, 10)) {
      scene.to.set(0, new long[] {5, 4, 10});
      assertThatIllegalArgumentException()
          .isThrownBy(() -> scene.attend(backend()))
          .withMessageStartingWith("to[1]: expected 5 to 10");
      scene.to.set(0, new long[] {5, 6, 11});
      assertThatIllegalArgumentException()
          .isThrownBy(() -> scene.attend(backend()))
          .withMessageStartingWith("to[2]: expected 6 to 10");
      scene.from.set(0, new long[] {-1, 0, 0});
      assertThatIllegalArgumentException()
          .isThrownBy(() -> scene.attend(backend()))
          .withMessageStartingWith("from[0]: expected 0 to 10");
    }
  }

  @Test
  void keysThatDependOnTheirPositionAreRefused() {
    KvCacheConfig config = QuantizedScene.grouped(2, 64, 2, affine(2, 64));
    try (Scene scene = new Scene(backend(), 64, 2, 4)) {
      scene.caches.set(
          0, scene.scope.add(KvCache.create(config, PageBudget.unlimited(), backend())));
      assertThatIllegalArgumentException()
          .isThrownBy(() -> scene.attend(backend()))
          .withMessageStartingWith("cache: expected keys that do not depend on their position");
    }
  }

  @Test
  void whatIsStagedCanBeLetGoAndNothingElseChanges() {
    KvCacheConfig config = QuantizedScene.plain(1, 64, affine(2, 64));
    try (MemoryScope scope = new MemoryScope()) {
      KvCache cache = scope.add(KvCache.create(config, PageBudget.unlimited(), backend()));
      KvCache other = scope.add(KvCache.create(config, PageBudget.unlimited(), backend()));
      Tensor kv = scope.add(Cases.normal(1, DType.F32, 200, 1, 64));
      other.append(kv, kv);
      long at = 0;
      for (int count : new int[] {1, 62, 1, 6, 58, 72}) {
        Tensor rows = kv.narrow(0, at, count);
        cache.append(rows, rows);
        cache.trim();
        at += count;
        long packed = 64 * 2 * (64 / 4 + 2) * ((at + 63) / 64);
        assertThat(cache.bytes()).as("after %s", at).isEqualTo(packed);
      }
      cache.truncate(70);
      cache.append(kv.narrow(0, 70, 130), kv.narrow(0, 70, 130));
      Tensor read = scope.allocate(DType.F32, 4, 200, 1, 64);
      cache.read(read.select(0, 0), read.select(0, 1));
      other.read(read.select(0, 2), read.select(0, 3));
      assertThat(read.narrow(0, 0, 2).toFloats()).isEqualTo(read.narrow(0, 2, 2).toFloats());
    }
  }

  @Test
  void tokensThatAreDroppedMoveTheOthersUp() {
    try (MemoryScope scope = new MemoryScope()) {
      KvCache cache =
          scope.add(
              KvCache.create(
                  KvCacheConfig.exact(1, 8, DType.F32), PageBudget.unlimited(), backend()));
      Tensor kv = scope.add(Cases.normal(1, DType.F32, 200, 1, 8));
      cache.append(kv, kv);
      assertThat(cache.dropFirst(63)).isZero();
      assertThat(cache.dropFirst(130)).isEqualTo(128);
      assertThat(cache.length()).isEqualTo(72);
      assertThat(cache.bytes()).isEqualTo(2 * 64 * 2 * 16 * 4);
      Tensor read = scope.allocate(DType.F32, 5, 1, 8);
      cache.read(3, read, scope.allocate(DType.F32, 5, 1, 8));
      assertThat(read.toFloats()).isEqualTo(kv.narrow(0, 131, 5).toFloats());
      assertThatIllegalArgumentException()
          .isThrownBy(() -> cache.read(68, read, read))
          .withMessageStartingWith("first: expected 0 to 67");
      assertThatIllegalArgumentException()
          .isThrownBy(() -> cache.dropFirst(73))
          .withMessage("tokens: expected 0 to 72, got 73");
    }
  }
}
