package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.Arrays;
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
      VlmCache cache = scene.prompted(150);
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
      VlmCache cache = scene.prompted(140);
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
      VlmCache cache = scene.prompted(140);
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

  /** Recent tokens of more than one range of keys: the same numbers, if not the same bits. */
  @ParameterizedTest
  @CsvSource({"TEXT_SALIENT, 300", "PIVOT_SALIENT, 600"})
  void windowsOfMoreThanARangeOfKeysAgreeWithTheDefinition(LayerPattern pattern, int window) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, window), 900, window)) {
      double[] expected = scene.expected(700, 900, false);
      Random random = new Random(window);
      VlmCache cache = scene.prompted(700);
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
}
