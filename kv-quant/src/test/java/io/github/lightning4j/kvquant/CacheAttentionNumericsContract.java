package io.github.lightning4j.kvquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What NaN and infinity do, and what they must not reach: one kv head, 130 tokens, 8 channels. */
abstract class CacheAttentionNumericsContract {
  private static final int LENGTH = 130;
  private static final int DIM = 8;

  private final MemoryScope scope = new MemoryScope();
  private final Tensor q = scope.add(Cases.normal(1, DType.F32, LENGTH, 1, DIM));
  private final Tensor k = scope.add(Cases.normal(2, DType.F32, LENGTH, 1, DIM));
  private final Tensor v = scope.add(Cases.normal(3, DType.F32, LENGTH, 1, DIM));

  abstract Backend backend();

  @AfterEach
  void close() {
    scope.close();
  }

  /** Rows of the output, one a query. */
  private float[][] attend() {
    KvCache cache = scope.add(KvCache.create(1, DIM, DType.F32, backend()));
    cache.append(k, v);
    Tensor out = scope.allocate(DType.F32, LENGTH, 1, DIM);
    CacheAttention.of(backend()).attend(q, cache, 0.5f, out);
    float[][] rows = new float[LENGTH][];
    for (int t = 0; t < LENGTH; t++) {
      rows[t] = out.select(0, t).toFloats();
    }
    return rows;
  }

  private static void assertAllNaN(float[] row) {
    assertThat(row).containsOnly(Float.NaN);
  }

  /** Sets the key of a token so that its score with query {@code [1, 0, ...]} is the value. */
  private void score(int token, double value) {
    for (int i = 0; i < DIM; i++) {
      k.accessor().set(token * DIM + i, i == 0 ? value * 2 : 0);
    }
  }

  private void unitQueries() {
    for (int t = 0; t < LENGTH; t++) {
      for (int i = 0; i < DIM; i++) {
        q.accessor().set(t * DIM + i, i == 0 ? 1 : 0);
      }
    }
  }

  @Test
  void aNaNInAQueryStaysInItsRow() {
    float[][] clean = attend();
    q.accessor().set(66 * DIM + 3, Double.NaN);
    float[][] rows = attend();
    for (int t = 0; t < LENGTH; t++) {
      if (t == 66) {
        assertAllNaN(rows[t]);
      } else {
        assertThat(rows[t]).isEqualTo(clean[t]);
      }
    }
  }

  @Test
  void aNaNInAKeyReachesTheQueriesThatSeeItAndNoOther() {
    float[][] clean = attend();
    k.accessor().set(66 * DIM + 3, Double.NaN);
    float[][] rows = attend();
    for (int t = 0; t < LENGTH; t++) {
      if (t >= 66) {
        assertAllNaN(rows[t]);
      } else {
        assertThat(rows[t]).isEqualTo(clean[t]);
      }
    }
  }

  @Test
  void aNaNInAValueReachesItsChannelOfTheQueriesThatSeeIt() {
    float[][] clean = attend();
    v.accessor().set(66 * DIM + 3, Double.NaN);
    float[][] rows = attend();
    for (int t = 0; t < LENGTH; t++) {
      if (t >= 66) {
        clean[t][3] = Float.NaN;
      }
      assertThat(rows[t]).isEqualTo(clean[t]);
    }
  }

  @Test
  void scoresOfMinusInfinityHaveNoWeight() {
    unitQueries();
    for (int token = 0; token < 70; token++) {
      score(token, Double.NEGATIVE_INFINITY);
    }
    score(70, 2);
    float[][] rows = attend();
    assertAllNaN(rows[69]); // nothing but minus infinity: 0 / 0
    assertThat(rows[70]).isEqualTo(v.select(0, 70).toFloats());
    assertThat(rows[129]).doesNotContain(Float.NaN);
  }

  @Test
  void aScoreOfPlusInfinityGivesNaN() {
    unitQueries();
    for (int token = 0; token < LENGTH; token++) {
      score(token, token == 66 ? Double.POSITIVE_INFINITY : 1);
    }
    float[][] rows = attend();
    assertThat(rows[65]).doesNotContain(Float.NaN);
    assertAllNaN(rows[66]);
    assertAllNaN(rows[129]);
  }
}
