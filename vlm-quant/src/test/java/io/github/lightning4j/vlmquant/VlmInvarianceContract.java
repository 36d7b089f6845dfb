package io.github.lightning4j.vlmquant;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.Threads;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * What attention over the stores of all classes does not depend on: the same bits however asked.
 */
abstract class VlmInvarianceContract {
  abstract Backend backend();

  @ParameterizedTest
  @EnumSource(LayerPattern.class)
  void doesNotCareHowTheSequenceWasCutIntoCalls(LayerPattern pattern) {
    try (VlmScene scene = new VlmScene(VlmScene.config(128, pattern, 40), 600, 9)) {
      VlmCache whole = scene.prompted(300);
      scene.append(whole, 300, 300);
      float[] expected = scene.attend(backend(), whole, 300);
      int row = expected.length / 300;
      VlmCache pieces = scene.cache();
      pieces.beginPrompt();
      for (int from = 0; from < 300; from += 75) {
        scene.append(pieces, from, 75);
      }
      pieces.endPrompt(scene.pivots(300));
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
      VlmCache whole = scene.prompted(500);
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
        pieces.endPrompt(scene.pivots(500));
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

  @Test
  void otherSequencesChangeNothing() {
    VlmCacheConfig config = VlmScene.config(64, LayerPattern.PIVOT_SALIENT, 8);
    List<VlmScene> batch = new ArrayList<>();
    try {
      List<float[]> alone = new ArrayList<>();
      List<VlmCache> caches = new ArrayList<>();
      for (int i = 0; i < 4; i++) {
        batch.add(new VlmScene(config, 40 + 17 * i, i));
        alone.add(decode(batch.get(i), batch.get(i).prompted(20), 20, 40));
        caches.add(batch.get(i).prompted(20));
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
      VlmCache cache = scene.prompted(70);
      VlmCache expected = scene.prompted(70);
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
      VlmCache cache = scene.prompted(1298);
      scene.append(cache, 1298, 2);
      float[] one = scene.attend(backend(), cache, 1298);
      Threads.use(4);
      VlmCache again = scene.prompted(1298);
      scene.append(again, 1298, 2);
      assertThat(scene.attend(backend(), again, 1298)).isEqualTo(one);
    } finally {
      Threads.use(before);
    }
  }
}
