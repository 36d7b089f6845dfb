package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.FlatMemory;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What every implementation of {@link CacheAttention} must do. */
abstract class CacheAttentionContract {
  abstract Backend backend();

  private CacheAttention attention() {
    return CacheAttention.of(backend());
  }

  /** A cache filled with random tokens, and queries for all of them. */
  private final class Scene implements AutoCloseable {
    final MemoryScope scope = new MemoryScope();
    final int heads;
    final KvCache cache;
    final Tensor q;
    final Tensor k;
    final Tensor v;
    final float scale;

    Scene(int length, int kvHeads, int group, int dim, DType dtype) {
      heads = kvHeads * group;
      scale = (float) Math.pow(dim, -0.5);
      q = scope.add(Cases.normal(length + dim, DType.F32, length, heads, dim));
      k = scope.add(Cases.normal(2 + length, DType.F32, length, kvHeads, dim));
      v = scope.add(Cases.normal(3 + length, DType.F32, length, kvHeads, dim));
      cache = scope.add(KvCache.create(kvHeads, dim, dtype, backend()));
      cache.append(k, v);
    }

    /** The outputs of the last {@code count} queries. */
    float[] attendLast(long count) {
      long length = cache.length();
      Tensor out = scope.allocate(DType.F32, count, heads, q.size(2));
      attention().attend(q.narrow(0, length - count, count), cache, scale, out);
      return out.toFloats();
    }

    double[] expectedOfLast(long count) {
      return DenseAttention.of(q.narrow(0, cache.length() - count, count), k, v, scale);
    }

    @Override
    public void close() {
      scope.close();
    }
  }

  private static double[] widened(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 3, 6, 8, 16, 64, 128})
  void agreesWithDoublesOverAwkwardSizes(int dim) {
    int[] groups = {1, 2, 8};
    for (int i = 0; i < Cases.AWKWARD.length; i++) {
      int length = Cases.AWKWARD[i];
      try (Scene scene = new Scene(length, 1 + i % 2, groups[i % 3], dim, DType.F32)) {
        for (int count : new int[] {1, 2, (length + 1) / 2, length - 1, length}) {
          if (count >= 1 && count <= length) {
            assertClose(scene, count);
          }
        }
      }
    }
  }

  @Test
  void agreesWithDoublesForEveryNumberOfQueries() {
    for (int group : new int[] {1, 2, 8}) {
      try (Scene scene = new Scene(70, 2, group, 16, DType.F32)) {
        for (int count = 1; count <= 70; count++) {
          assertClose(scene, count);
        }
      }
    }
  }

  @Test
  void agreesWithDoublesOverSeveralRangesOfKeys() {
    for (int length : new int[] {511, 512, 513, 1000, 1025}) {
      try (Scene scene = new Scene(length, 2, 2, 8, DType.F32)) {
        for (int count : new int[] {1, 17, 500, length}) {
          assertClose(scene, count);
        }
      }
    }
  }

  private void assertClose(Scene scene, int count) {
    Closeness.assertNmse(
        count + " queries over " + scene.k,
        widened(scene.attendLast(count)),
        scene.expectedOfLast(count),
        1e-10);
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void isAsGoodAsTheStoredTypeAllows(DType dtype) {
    for (int length : new int[] {1, 65, 257, 600}) {
      try (Scene scene = new Scene(length, 2, 2, 64, dtype)) {
        Tensor k = scene.scope.allocate(dtype, scene.k.shape());
        Tensor v = scene.scope.allocate(dtype, scene.v.shape());
        k.copyFrom(scene.k);
        v.copyFrom(scene.v);
        Closeness.assertNoWorseThanNaive(
            dtype + " over " + length,
            widened(scene.attendLast(length)),
            DenseAttention.of(scene.q, k, v, scene.scale),
            scene.expectedOfLast(length));
      }
    }
  }

  @Test
  void doesNotCareHowAPromptWasCutIntoCalls() {
    try (Scene scene = new Scene(1100, 2, 3, 24, DType.BF16)) {
      float[] whole = scene.attendLast(1100);
      int row = whole.length / 1100;
      KvCache cache = scene.scope.add(KvCache.create(2, 24, DType.BF16, backend()));
      int at = 0;
      for (int count : new int[] {1, 1, 62, 1, 65, 400, 1, 568, 1}) {
        cache.append(scene.k.narrow(0, at, count), scene.v.narrow(0, at, count));
        Tensor out = scene.scope.allocate(DType.F32, count, scene.heads, 24);
        attention().attend(scene.q.narrow(0, at, count), cache, scene.scale, out);
        float[] expected = java.util.Arrays.copyOfRange(whole, at * row, (at + count) * row);
        assertThat(out.toFloats()).isEqualTo(expected);
        at += count;
      }
      assertThat(at).isEqualTo(1100);
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try (Scene scene = new Scene(1100, 2, 8, 16, DType.F16)) {
      for (int count : new int[] {1, 3, 40}) {
        Threads.use(1);
        float[] one = scene.attendLast(count);
        for (int threads : new int[] {2, 3, 8}) {
          Threads.use(threads);
          assertThat(scene.attendLast(count)).isEqualTo(one);
        }
      }
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void takesAndGivesAnyStridesOfTokenAndHead() {
    try (Scene scene = new Scene(40, 2, 2, 6, DType.F32)) {
      Tensor wide = scene.scope.allocate(DType.F32, 40, 4, 20);
      wide.narrow(2, 3, 6).copyFrom(scene.q);
      Tensor headsFirst = scene.scope.allocate(DType.F32, 4, 40, 6);
      Tensor out = headsFirst.strided(0, new long[] {40, 4, 6}, new long[] {6, 240, 1});
      attention().attend(wide.narrow(2, 3, 6), scene.cache, scene.scale, out);
      assertThat(out.toFloats()).isEqualTo(scene.attendLast(40));
    }
  }

  @Test
  void readsTheForkItIsGiven() {
    try (Scene scene = new Scene(70, 1, 2, 8, DType.F32)) {
      float[] before = scene.attendLast(5);
      KvCache fork = scene.scope.add(scene.cache.fork());
      fork.append(scene.v, scene.k);
      assertThat(scene.attendLast(5)).isEqualTo(before);
      fork.truncate(70);
      Tensor out = scene.scope.allocate(DType.F32, 5, 2, 8);
      attention().attend(scene.q.narrow(0, 65, 5), fork, scene.scale, out);
      assertThat(out.toFloats()).isEqualTo(before);
    }
  }

  @Test
  void staysStableUnderLargeScores() {
    try (Scene scene = new Scene(600, 1, 2, 16, DType.F32)) {
      // Scores of about +-1e4: a naive exp would overflow; the largest score takes all the weight.
      Tensor out = scene.scope.allocate(DType.F32, 600, 2, 16);
      attention().attend(scene.q, scene.cache, 2500f, out);
      Closeness.assertNmse(
          "scale 2500",
          out.toDoubles(),
          DenseAttention.of(scene.q, scene.k, scene.v, 2500f),
          1e-6); // scores of 1e4 carry fp32 errors of about 1e-3
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor k = scope.add(Cases.normal(1, DType.F32, 3, 2, 8));
      Tensor q = scope.add(Cases.normal(2, DType.F32, 3, 4, 8));
      Tensor out = scope.allocate(DType.F32, 3, 4, 8);
      FlatMemory.assertFlat(
          "append, attend, close",
          10_000,
          () -> {
            try (KvCache cache = KvCache.create(2, 8, DType.BF16, backend())) {
              cache.append(k, k);
              attention().attend(q, cache, 1f, out);
            }
          });
    }
  }
}
