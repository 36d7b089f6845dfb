package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Attention over the stores of all classes: one softmax over tokens of different bits. */
abstract class VlmAttentionContract {
  /** Rounding of fp32 sums, squared, over some hundred keys. */
  private static final double FLOATS = 1e-12;

  abstract Backend backend();

  private static double[] widened(float[] values) {
    return IntStream.range(0, values.length).mapToDouble(i -> values[i]).toArray();
  }

  private static long[] pivots(VlmScene scene, int length) {
    return Arrays.stream(scene.pivots).filter(token -> token < length).toArray();
  }

  /**
   * How near attention over tokens of 2 bits comes. Native kernels read them in integers: queries
   * in 8 bits shift scores by {@code max|q| / 127 / sqrt(12)}, 0.006 for normal ones, so outputs by
   * 4e-5; weights in 7 bits, of which a page of 64 around one great weight loses up to {@code 64 /
   * (6 127^2)} = 6.6e-4, and as a rule half of that or less.
   */
  private double packed(int dim) {
    return backend() == Backend.CPU && dim % 32 == 0 ? 7e-4 : FLOATS;
  }

  /** The same for 4 bits: queries of 16 bits, {@code (2.7 / 32767)^2 / 12}, weights of 15. */
  private double packedText(int dim) {
    return backend() == Backend.CPU && dim % 32 == 0 ? 3e-9 : FLOATS;
  }

  private static VlmCache prompted(VlmScene scene, int length) {
    VlmCache cache = scene.cache();
    cache.beginPrompt();
    scene.append(cache, 0, length);
    cache.endPrompt(pivots(scene, length));
    return cache;
  }

  @ParameterizedTest
  @CsvSource({
    "8, TEXT_SALIENT",
    "64, PIVOT_SALIENT",
    "96, TEXT_SALIENT",
    "128, PIVOT_SALIENT",
    "128, TEXT_SALIENT"
  })
  void agreesWithTheDefinition(int dim, LayerPattern pattern) {
    for (int length : Cases.awkwardUpTo(129)) {
      try (VlmScene scene = new VlmScene(VlmScene.config(dim, pattern, 16), length + 3, length)) {
        int prompt = length;
        Arrays.setAll(scene.pivots, i -> Math.min(scene.pivots[i], prompt - 1L));
        VlmCache cache = scene.cache();
        cache.beginPrompt();
        scene.append(cache, 0, length);
        Closeness.assertNmse(
            "staged " + length,
            widened(scene.attend(backend(), cache, 0)),
            scene.expected(0, length, true),
            FLOATS);
        cache.endPrompt(Arrays.stream(scene.pivots).distinct().toArray());
        scene.append(cache, length, 3);
        Closeness.assertNmse(
            "after " + length,
            widened(scene.attend(backend(), cache, length)),
            scene.expected(length, length + 3, false),
            packed(dim));
      }
    }
  }

  /** No token of 2 bits beside them, in whose error that of 4 bits would not be seen. */
  @ParameterizedTest
  @CsvSource({"8, 0", "64, 0", "64, 16", "96, 0", "128, 0", "128, 16"})
  void textOfFourBitsAloneIsReadNearlyExactly(int dim, int window) {
    for (int length : Cases.awkwardUpTo(257)) {
      VlmCacheConfig config = VlmScene.config(dim, LayerPattern.TEXT_SALIENT, window);
      try (VlmScene scene = new VlmScene(config, length, length)) {
        Arrays.fill(scene.classes, TokenClass.TEXT);
        VlmCache cache = scene.cache();
        scene.append(cache, 0, length);
        Closeness.assertNmse(
            "text of " + length,
            widened(scene.attend(backend(), cache, 0)),
            scene.expected(0, length, false),
            packedText(dim));
      }
    }
  }

  @ParameterizedTest
  @EnumSource(LayerPattern.class)
  void aPromptThatAttendsLateReadsWhatItsEndLeft(LayerPattern pattern) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, 16), 150, 2)) {
      VlmCache cache = prompted(scene, 150);
      Closeness.assertNmse(
          "after the end",
          widened(scene.attend(backend(), cache, 0)),
          scene.expected(0, 150, t -> 150 - 16),
          packed(64));
    }
  }

  @Test
  void pivotsMayBeQuantizedToo() {
    BitBudget budget = new BitBudget(16, 4, 2, 2);
    VlmPolicy policy = new VlmPolicy("pivots-4", budget, budget, 16, 15);
    VlmCacheConfig config =
        VlmCacheConfig.of(2, 64, policy, LayerPattern.PIVOT_SALIENT, VlmScene.LAYER);
    try (VlmScene scene = new VlmScene(config, 150, 2)) {
      VlmCache cache = prompted(scene, 140);
      scene.append(cache, 140, 10);
      assertThat(cache.account().payloadBits()).isEqualTo((16 * 16 + 3 * 4 + 131 * 2) / 150.0);
      Closeness.assertNmse(
          "pivots of 4 bits",
          widened(scene.attend(backend(), cache, 140)),
          scene.expected(140, 150, false),
          packed(64));
    }
  }

  /** Beside the 4 bits of text, which stay affine. */
  @ParameterizedTest
  @CsvSource({"64, TEXT_SALIENT", "96, PIVOT_SALIENT", "128, TEXT_SALIENT", "128, PIVOT_SALIENT"})
  void twoBitsMayBeOnALloydMaxGrid(int dim, LayerPattern pattern) {
    VlmPolicy policy = VlmPolicy.preset("akvq-2-lm").withRecentWindow(16);
    VlmCacheConfig config =
        VlmCacheConfig.of(VlmScene.KV_HEADS, dim, policy, pattern, VlmScene.LAYER);
    try (VlmScene scene = new VlmScene(config, 150, dim)) {
      VlmCache cache = prompted(scene, 140);
      scene.append(cache, 140, 10);
      Closeness.assertNmse(
          "Lloyd-Max",
          widened(scene.attend(backend(), cache, 140)),
          scene.expected(140, 150, false),
          packed(dim));
      VlmAccount.Share visual = cache.account().classes().get(TokenClass.VISUAL);
      assertThat(visual.bits()).isEqualTo(2);
      assertThat(visual.metadataBytes()).as("a scale a head").isEqualTo(2 * VlmScene.KV_HEADS);
    }
  }

  @Test
  void withoutAWindowEachTokenIsReadInItsBits() {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, LayerPattern.TEXT_SALIENT, 0), 70, 1)) {
      VlmCache cache = scene.cache();
      scene.append(cache, 0, 70);
      Closeness.assertNmse(
          "all packed",
          widened(scene.attend(backend(), cache, 0)),
          scene.expected(0, 70, false),
          packed(64));
    }
  }

  @ParameterizedTest
  @EnumSource(LayerPattern.class)
  void doesNotCareHowTheSequenceWasCutIntoCalls(LayerPattern pattern) {
    try (VlmScene scene = new VlmScene(VlmScene.config(128, pattern, 40), 600, 9)) {
      VlmCache whole = prompted(scene, 300);
      scene.append(whole, 300, 300);
      float[] expected = scene.attend(backend(), whole, 300);
      int row = expected.length / 300;
      VlmCache pieces = scene.cache();
      pieces.beginPrompt();
      for (int from = 0; from < 300; from += 75) {
        scene.append(pieces, from, 75);
      }
      pieces.endPrompt(pivots(scene, 300));
      int at = 0;
      for (int count : new int[] {1, 1, 62, 1, 65, 100, 1, 68, 1}) {
        scene.append(pieces, 300 + at, count);
        assertThat(scene.attend(backend(), pieces, 300 + at))
            .isEqualTo(Arrays.copyOfRange(expected, at * row, (at + count) * row));
        at += count;
      }
      assertThat(at).isEqualTo(300);
    }
  }

  /** Longer than a range of keys of the kernels (512), without a prompt, in two ways. */
  @ParameterizedTest
  @EnumSource(LayerPattern.class)
  void longCallsGiveTheBitsOfShortOnes(LayerPattern pattern) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, 128), 1200, 5)) {
      VlmCache whole = scene.cache();
      scene.append(whole, 0, 1200);
      float[] expected = scene.attend(backend(), whole, 0);
      int row = expected.length / 1200;
      VlmCache pieces = scene.cache();
      int at = 0;
      for (int count : new int[] {130, 333, 1, 60, 1, 575, 1, 99}) {
        scene.append(pieces, at, count);
        assertThat(scene.attend(backend(), pieces, at))
            .as("from %s", at)
            .isEqualTo(Arrays.copyOfRange(expected, at * row, (at + count) * row));
        at += count;
      }
      assertThat(at).isEqualTo(1200);
    }
  }

  @ParameterizedTest
  @CsvSource({"TEXT_SALIENT, 128, 21", "PIVOT_SALIENT, 256, 22", "PIVOT_SALIENT, 40, 23"})
  void randomCutsGiveTheSameBits(LayerPattern pattern, int window, long seed) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, window), 900, seed)) {
      VlmCache whole = prompted(scene, 500);
      scene.append(whole, 500, 400);
      float[] expected = scene.attend(backend(), whole, 500);
      int row = expected.length / 400;
      Random random = new Random(seed);
      for (int trial = 0; trial < 3; trial++) {
        VlmCache pieces = scene.cache();
        pieces.beginPrompt();
        int at = 0;
        for (int count : VlmScene.cuts(random, 500)) {
          scene.append(pieces, at, count);
          at += count;
        }
        pieces.endPrompt(pivots(scene, 500));
        for (int count : VlmScene.cuts(random, 400)) {
          scene.append(pieces, at, count);
          assertThat(scene.attend(backend(), pieces, at))
              .as("trial %s, %s tokens from %s on", trial, count, at)
              .isEqualTo(Arrays.copyOfRange(expected, (at - 500) * row, (at - 500 + count) * row));
          at += count;
        }
      }
    }
  }

  /** Recent tokens of more than one range of keys: the same numbers, if not the same bits. */
  @ParameterizedTest
  @CsvSource({"TEXT_SALIENT, 300", "PIVOT_SALIENT, 600"})
  void windowsOfMoreThanARangeOfKeysAgreeWithTheDefinition(LayerPattern pattern, int window) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, window), 900, window)) {
      double[] expected = scene.expected(700, 900, false);
      Random random = new Random(window);
      VlmCache cache = prompted(scene, 700);
      int row = expected.length / 200;
      int at = 700;
      for (int count : VlmScene.cuts(random, 200)) {
        scene.append(cache, at, count);
        Closeness.assertNmse(
            count + " from " + at,
            widened(scene.attend(backend(), cache, at)),
            Arrays.copyOfRange(expected, (at - 700) * row, (at - 700 + count) * row),
            packed(64));
        at += count;
      }
      assertThat(cache.account().classes().get(TokenClass.RECENT).tokens()).isEqualTo(window);
    }
  }

  @Test
  void otherSequencesChangeNothing() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.PIVOT_SALIENT, 8);
    List<VlmScene> batch = new ArrayList<>();
    try {
      List<float[]> alone = new ArrayList<>();
      List<VlmCache> caches = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        batch.add(new VlmScene(config, 40 + 17 * i, i));
        alone.add(decode(batch.get(i), prompted(batch.get(i), 20), 20, 40));
        caches.add(prompted(batch.get(i), 20));
      }
      Random random = new Random(1);
      for (int at = 20; at < 40; at++) { // all sequences step by step, in any order
        List<Integer> order = new ArrayList<>(List.of(0, 1, 2, 3));
        Collections.shuffle(order, random);
        for (int i : order) {
          float[] row = decode(batch.get(i), caches.get(i), at, at + 1);
          assertThat(row)
              .isEqualTo(
                  Arrays.copyOfRange(alone.get(i), (at - 20) * row.length, (at - 19) * row.length));
        }
      }
    } finally {
      batch.forEach(VlmScene::close);
    }
  }

  private float[] decode(VlmScene scene, VlmCache cache, int from, int to) {
    int row = VlmScene.HEADS * scene.config.headDim();
    float[] out = new float[(to - from) * row];
    for (int t = from; t < to; t++) {
      scene.append(cache, t, 1);
      System.arraycopy(scene.attend(backend(), cache, t), 0, out, (t - from) * row, row);
    }
    return out;
  }

  @Test
  void forksGoTheirOwnWay() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.TEXT_SALIENT, 8);
    try (VlmScene scene = new VlmScene(config, 150, 4);
        VlmScene other = new VlmScene(config, 150, 5)) {
      VlmCache cache = prompted(scene, 70);
      VlmCache expected = prompted(scene, 70);
      VlmCache fork = scene.scope.add(cache.fork());
      other.append(fork, 70, 80);
      scene.append(cache, 70, 80);
      scene.append(expected, 70, 80);
      assertThat(scene.attend(backend(), cache, 149))
          .isEqualTo(scene.attend(backend(), expected, 149))
          .isNotEqualTo(scene.attend(backend(), fork, 149));
    }
  }

  @Test
  void anyNumberOfThreadsGivesTheSameBits() {
    int before = Threads.count();
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.PIVOT_SALIENT, 16);
    try (VlmScene scene = new VlmScene(config, 1300, 6)) {
      Threads.use(1);
      VlmCache cache = prompted(scene, 1298);
      scene.append(cache, 1298, 2);
      float[] one = scene.attend(backend(), cache, 1298);
      Threads.use(4);
      VlmCache again = prompted(scene, 1298);
      scene.append(again, 1298, 2);
      assertThat(scene.attend(backend(), again, 1298)).isEqualTo(one);
    } finally {
      Threads.use(before);
    }
  }
}
