package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.OutOfNativeMemoryException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where weights lie is a question of speed and memory, never of results. */
final class WeightPlacementTest {
  @TempDir private static Path temp;

  private static Path folder(String layout) {
    return layout.equals("quantized") ? temp.resolve("q") : ModelFixture.root().resolve(layout);
  }

  @BeforeAll
  static void quantize() {
    try (Checkpoint checkpoint =
        Checkpoint.open(
            ModelFixture.root().resolve("alt_gqa_b32/hf"),
            WeightFormats.parse("int4,head=int8"),
            ProgressListener.NONE)) {
      checkpoint.save(temp.resolve("q"));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"alt_gqa_b32/hf", "alt_gqa_b32/hf_fused", "quantized"})
  void logitsAreTheSameWhereverWeightsLie(String layout) throws Exception {
    long before = Memory.liveBytes();
    float[] mapped = lastLogits(layout, WeightPlacement.MAPPED);
    assertThat(lastLogits(layout, WeightPlacement.COPIED)).isEqualTo(mapped);
    assertThat(lastLogits(layout, WeightPlacement.AUTO)).isEqualTo(mapped);
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }

  private static float[] lastLogits(String layout, WeightPlacement placement) {
    LoadOptions options = LoadOptions.DEFAULT.withPlacement(placement);
    try (MiniMaxModel model = MiniMaxModel.load(folder(layout), options);
        Session session = model.newSession()) {
      return session.prefill(1, 2, 3, 4, 5);
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"alt_gqa_b32/hf", "alt_gqa_b32/hf_fused", "quantized"})
  void onlyCopiesTakeMemoryOfOurOwn(String layout) throws Exception {
    long stored = Files.size(folder(layout).resolve("model.safetensors"));
    assertThat(taken(layout, WeightPlacement.MAPPED, Long.MAX_VALUE)).isLessThan(stored / 10);
    assertThat(taken(layout, WeightPlacement.COPIED, Long.MAX_VALUE))
        .isBetween(stored * 8 / 10, stored * 12 / 10);
    assertThat(taken(layout, WeightPlacement.AUTO, stored * 3))
        .isEqualTo(taken(layout, WeightPlacement.COPIED, stored * 3));
    assertThat(taken(layout, WeightPlacement.AUTO, stored))
        .isEqualTo(taken(layout, WeightPlacement.MAPPED, stored));
  }

  private static long taken(String layout, WeightPlacement placement, long available) {
    long before = Memory.liveBytes();
    try (Checkpoint checkpoint =
        Checkpoint.open(
            folder(layout), WeightFormats.STORED, placement, available, ProgressListener.NONE)) {
      assertThat(checkpoint.formats()).isNotNull();
      return Memory.liveBytes() - before;
    }
  }

  @Test
  void copiesThatDoNotFitAreRefusedWithAWayOut() {
    long before = Memory.liveBytes();
    assertThatThrownBy(() -> taken("quantized", WeightPlacement.COPIED, 1000))
        .isInstanceOf(OutOfNativeMemoryException.class)
        .hasMessageContaining("1000")
        .hasMessageContaining("leave the weights mapped");
    assertThat(Memory.liveBytes()).isEqualTo(before);
  }
}
