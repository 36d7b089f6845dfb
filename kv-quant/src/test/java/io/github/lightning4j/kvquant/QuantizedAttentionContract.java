package io.github.lightning4j.kvquant;

import static io.github.lightning4j.kvquant.QuantizedScene.AT_ONCE;
import static io.github.lightning4j.kvquant.QuantizedScene.LLOYD_MAX;
import static io.github.lightning4j.kvquant.QuantizedScene.affine;
import static io.github.lightning4j.kvquant.QuantizedScene.centered;
import static io.github.lightning4j.kvquant.QuantizedScene.dense;
import static io.github.lightning4j.kvquant.QuantizedScene.grouped;
import static io.github.lightning4j.kvquant.QuantizedScene.isSmall;
import static io.github.lightning4j.kvquant.QuantizedScene.rotated;
import static io.github.lightning4j.kvquant.QuantizedScene.wide;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Elements;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.kvquant.policy.TokenPolicy;
import io.github.lightning4j.kvquant.quantizer.KvQuantizer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What attention over a quantized cache must do: that over what the cache says it holds. */
abstract class QuantizedAttentionContract {
  /** Queries in 8 bits and weights in 7 (two_bit_kernels.h), beside errors of 2 bits of 0.1. */
  private static final double SMALL = 1e-3;

  private static final TokenPolicy WINDOW = AT_ONCE.withFirstTokens(2).withRecentWindow(40, 1);

  abstract Backend backend();

  static Iterable<KvCacheConfig> formats() {
    List<KvCacheConfig> formats = new ArrayList<>(QuantizedScene.formats());
    // Here a code may differ from the reference's: its mean is turned in double.
    formats.add(centered(2, 128, LLOYD_MAX));
    formats.add(centered(2, 64, affine(4, 64)));
    formats.add(centered(1, 96, affine(3, 128)));
    return formats;
  }

  private static double[] widened(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }

  /**
   * Queries and weights in 16 bits; in 12 where keys are restored; codes where they are centred.
   */
  private static double bound(KvCacheConfig config) {
    return isSmall(config) ? SMALL : config.keyBasis() == null ? 1e-8 : 1e-5;
  }

  @ParameterizedTest
  @MethodSource("formats")
  void agreesWithTheReference(KvCacheConfig config) {
    int[] groups = {4, 1, 8, 2};
    int[] lengths = {1, 63, 65, 130, 530};
    for (int i = 0; i < lengths.length; i++) {
      for (KvCacheConfig with : List.of(config, config.withTokens(WINDOW))) {
        try (QuantizedScene scene = new QuantizedScene(with, lengths[i], groups[i % 4])) {
          KvCache expected = scene.filled(Backend.REFERENCE);
          KvCache cache = scene.filled(backend());
          long from = Math.max(0, lengths[i] - 5);
          Closeness.assertNmse(
              "last of " + lengths[i] + ", " + with,
              widened(scene.attend(backend(), cache, from)),
              widened(scene.attend(Backend.REFERENCE, expected, from)),
              bound(config));
        }
      }
    }
  }

  /** Whatever the basis, with codes fine enough it is attention over what came. */
  @Test
  void theBasisCancels() {
    KvQuantizer fine = wide(8, 128);
    for (KvCacheConfig config :
        List.of(
            rotated(2, 96, fine),
            rotated(1, 128, fine),
            centered(2, 96, fine),
            dense(2, 128, fine),
            dense(3, 48, fine))) {
      for (KvCacheConfig with : List.of(config, config.withTokens(WINDOW))) {
        try (QuantizedScene scene = new QuantizedScene(with, 150, 2)) {
          double[] expected =
              DenseAttention.of(scene.q.narrow(0, 130, 20), scene.k, scene.v, scene.scale);
          double[] out = widened(scene.attend(backend(), scene.filled(backend()), 130));
          Closeness.assertNmse("with " + with.transform(), out, expected, 1e-3);
        }
      }
    }
  }

  /** One channel that outweighs all others fills a whole rotation with its magnitude. */
  @Test
  void aLoneChannelSurvivesTheWidestRotation() {
    KvCacheConfig config = grouped(16, 256, 16, wide(8, 128));
    try (QuantizedScene scene = new QuantizedScene(config, 20, 1)) {
      Elements keys = scene.k.accessor();
      for (int t = 0; t < 20; t++) {
        keys.set(t * 4096L + 2063, 300 + t);
      }
      Closeness.assertNmse(
          "a lone channel",
          widened(scene.attend(backend(), scene.filled(backend()), 15)),
          widened(scene.attend(Backend.REFERENCE, scene.filled(Backend.REFERENCE), 15)),
          1e-5);
    }
  }

  @Test
  void doesNotCareHowTheSequenceWasCutIntoCalls() {
    for (KvCacheConfig config :
        List.of(
            rotated(2, 128, LLOYD_MAX),
            centered(1, 128, LLOYD_MAX),
            dense(1, 64, affine(2, 64)),
            grouped(4, 128, 4, affine(2, 128)),
            rotated(1, 64, affine(4, 64)))) {
      try (QuantizedScene scene = new QuantizedScene(config.withTokens(WINDOW), 600, 3)) {
        float[] whole = scene.attend(backend(), scene.filled(backend()), 0);
        int row = whole.length / 600;
        KvCache pieces = scene.cache(backend());
        int at = 0;
        for (int count : new int[] {1, 1, 62, 1, 65, 400, 1, 68, 1}) {
          scene.append(pieces, at, count);
          assertThat(scene.attend(backend(), pieces, at))
              .isEqualTo(Arrays.copyOfRange(whole, at * row, (at + count) * row));
          at += count;
        }
        assertThat(at).isEqualTo(600);
      }
    }
  }

  @Test
  void aStagedPromptIsReadExactlyHoweverItIsCut() {
    KvCacheConfig config = rotated(2, 64, affine(2, 64)).withTokens(WINDOW);
    KvCacheConfig exact = KvCacheConfig.exact(2, 64, config.dtype());
    try (QuantizedScene scene = new QuantizedScene(config, 200, 2);
        QuantizedScene plain = new QuantizedScene(exact, 200, 2)) {
      double[] expected = widened(plain.attend(backend(), plain.filled(backend()), 0));
      KvCache cache = scene.cache(backend());
      cache.beginPrompt();
      scene.append(cache, 0, 130);
      scene.append(cache, 130, 70);
      Closeness.assertNmse(
          "a staged prompt", widened(scene.attend(backend(), cache, 0)), expected, 1e-6);
    }
  }

  @Test
  void aPromptThatHasAttendedNeedNotLieInMemoryTwice() {
    for (KvCacheConfig config :
        List.of(rotated(2, 128, LLOYD_MAX), grouped(4, 64, 4, affine(2, 128)))) {
      try (QuantizedScene scene = new QuantizedScene(config.withTokens(WINDOW), 600, 2)) {
        KvCache kept = scene.cache(backend());
        KvCache trimmed = scene.cache(backend());
        for (KvCache cache : List.of(kept, trimmed)) {
          cache.beginPrompt();
          scene.append(cache, 0, 598);
          cache.trim(); // nothing yet
          cache.endPrompt(7);
        }
        trimmed.trim();
        long page = 64L * 2 * config.kvHeads() * config.headDim() * 2;
        assertThat(kept.bytes() - trimmed.bytes()).isEqualTo(8 * page); // 558 have left
        assertThat(scene.attend(backend(), trimmed, 597))
            .isEqualTo(scene.attend(backend(), kept, 597));
        for (KvCache cache : List.of(kept, trimmed)) {
          scene.append(cache, 598, 2);
        }
        assertThat(trimmed.bytes()).isEqualTo(kept.bytes());
        assertThat(scene.attend(backend(), trimmed, 598))
            .isEqualTo(scene.attend(backend(), kept, 598));
      }
    }
  }

  @Test
  void givesTheSameBitsForAnyNumberOfThreads() {
    int before = Threads.count();
    try {
      for (KvCacheConfig config : QuantizedScene.formats()) {
        try (QuantizedScene scene = new QuantizedScene(config.withTokens(WINDOW), 1100, 4)) {
          KvCache cache = scene.filled(backend());
          for (int from : new int[] {1099, 1090}) {
            Threads.use(1);
            float[] one = scene.attend(backend(), cache, from);
            for (int threads : new int[] {2, 8}) {
              Threads.use(threads);
              assertThat(scene.attend(backend(), cache, from)).isEqualTo(one);
            }
          }
        }
      }
    } finally {
      Threads.use(before);
    }
  }
}
