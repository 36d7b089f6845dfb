package io.github.lightning4j.minimax;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Memory;
import io.github.lightning4j.kvquant.calibration.Calibration;
import io.github.lightning4j.minimax.vision.RgbImage;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Supplier;
import org.junit.jupiter.api.Test;

/** What a calibration holds of prompts with pictures: one of them. */
final class PictureCalibrationTest {
  private static final VisionFixture TINY = new VisionFixture("gelu_4l", "two");
  private static final int IMAGE = 75;

  @Test
  void oneIsOpenAtATime() {
    RgbImage gray = VisionFixture.image("gray");
    List<ImagePrompt> made = new ArrayList<>();
    List<Long> held = new ArrayList<>();
    int[] ids = {1, 2, 3, 4, 5, 6, 7, 8, IMAGE, 9, 10, 11, 12};
    try (MiniMaxModel model = MiniMaxModel.load(TINY.folder())) {
      Supplier<ImagePrompt> next =
          () -> {
            made.forEach(before -> assertClosed(model, before));
            held.add(Memory.liveBytes());
            made.add(model.imagePrompt(ids, List.of(gray)));
            return made.get(made.size() - 1);
          };
      Calibration calibration =
          KvCalibration.of(
              model,
              List.of(next, next, next),
              2,
              "gray",
              (done, of) -> assertThat(of).isEqualTo(3));
      assertThat(calibration.layers()).allMatch(layer -> layer.textSalience().isPresent());
      assertThat(made).hasSize(3);
      made.forEach(before -> assertClosed(model, before));
      assertThat(held.get(2)).isEqualTo(held.get(1));
    }
  }

  private static void assertClosed(MiniMaxModel model, ImagePrompt prompt) {
    assertThatThrownBy(() -> prompt.readBy(model))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("image prompt is closed");
  }
}
