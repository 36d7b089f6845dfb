package io.github.lightning4j.vlmquant;

import static io.github.lightning4j.vlmquant.VlmScene.contents;
import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What is held does not depend on how a sequence was cut into calls, whatever the window. */
final class RandomCutsTest {
  private static final int PROMPT = 700;
  private static final int LENGTH = 1000;

  @ParameterizedTest
  @CsvSource({
    "TEXT_SALIENT, 0", "PIVOT_SALIENT, 1", "TEXT_SALIENT, 63", "PIVOT_SALIENT, 128",
    "TEXT_SALIENT, 257", "PIVOT_SALIENT, 300", "TEXT_SALIENT, 512", "PIVOT_SALIENT, 900"
  })
  void tokensLeaveTheWindowOnce(LayerPattern pattern, int window) {
    try (VlmScene scene = new VlmScene(VlmScene.config(64, pattern, window), LENGTH, window)) {
      VlmCache whole = scene.cache();
      whole.beginPrompt();
      scene.append(whole, 0, PROMPT);
      whole.endPrompt(scene.pivots);
      scene.append(whole, PROMPT, LENGTH - PROMPT);
      float[] expected = contents(whole);
      Random random = new Random(17 * window + 1);
      for (int trial = 0; trial < 4; trial++) {
        VlmCache pieces = scene.cache();
        pieces.beginPrompt();
        append(scene, pieces, VlmScene.cuts(random, PROMPT));
        pieces.endPrompt(scene.pivots);
        float[] before = contents(pieces);
        int settled = Math.max(0, PROMPT - window) * VlmScene.KV_HEADS * 64;
        append(scene, pieces, VlmScene.cuts(random, LENGTH - PROMPT));
        float[] after = contents(pieces);
        assertThat(Arrays.copyOf(after, settled)).isEqualTo(Arrays.copyOf(before, settled));
        assertThat(after).as("trial %s", trial).isEqualTo(expected);
        for (int t = 0; t < LENGTH; t++) {
          assertThat(pieces.tokenClass(t)).isEqualTo(whole.tokenClass(t));
        }
        assertThat(pieces.account().classes()).isEqualTo(whole.account().classes());
      }
    }
  }

  private static void append(VlmScene scene, VlmCache cache, int[] cuts) {
    for (int count : cuts) {
      scene.append(cache, Math.toIntExact(cache.length()), count);
    }
  }
}
