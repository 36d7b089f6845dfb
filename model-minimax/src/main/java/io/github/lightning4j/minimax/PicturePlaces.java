package io.github.lightning4j.minimax;

import static com.google.common.base.Preconditions.checkArgument;

import com.google.common.primitives.Ints;
import io.github.lightning4j.minimax.vision.VisionConfig;

/**
 * Prompts that come without pictures have no places for any, where the model sees pictures. To a
 * model of text {@code <image>} is text, and there is no token for it.
 */
final class PicturePlaces {
  private static final String WAY_OUT =
      "stands for a picture, and this call takes none; give them with imagePrompt, or take it out";

  private PicturePlaces() {}

  /**
   * Checks a text.
   *
   * @throws IllegalArgumentException if it has a place for a picture
   */
  static void none(MiniMaxModel model, String prompt) {
    checkArgument(
        model.vision().isEmpty() || !prompt.contains(ImagePrompt.PLACEHOLDER),
        "prompt: %s %s",
        ImagePrompt.PLACEHOLDER,
        WAY_OUT);
  }

  /**
   * Checks tokens.
   *
   * @throws IllegalArgumentException if one stands for a picture
   */
  static void none(MiniMaxModel model, int[] ids) {
    model
        .vision()
        .map(VisionConfig::imageToken)
        .ifPresent(
            picture -> {
              int at = Ints.indexOf(ids, picture);
              checkArgument(at < 0, "ids[%s]: token %s %s", at, picture, WAY_OUT);
            });
  }
}
