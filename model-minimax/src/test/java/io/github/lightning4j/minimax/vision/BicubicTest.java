package io.github.lightning4j.minimax.vision;

import static io.github.lightning4j.minimax.vision.ImageFiles.allocated;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Memory of resizing; that pixels are the stated ones is {@link ImagePreprocessorTest}. */
final class BicubicTest {
  private static final ImagePreprocessor RELEASED =
      new ImagePreprocessor(
          new AnyResolution(336, 14, List.of(new Resolution(336, 2016), new Resolution(2016, 336))),
          ImagePreprocessor.CLIP_MEAN,
          ImagePreprocessor.CLIP_DEVIATION);

  private static RgbImage random(int width, int height) {
    byte[] rgb = new byte[3 * width * height];
    new Random(width + 31L * height).nextBytes(rgb);
    return RgbImage.of(width, height, rgb);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 1, 7, 5",
    "300, 200, 28, 28",
    "9, 1000, 28, 13",
    "1000, 3, 17, 40",
    "40, 30, 41, 31",
    "64, 64, 64, 20",
    "64, 64, 20, 64",
    "50, 60, 50, 60"
  })
  void bandsChangeNoPixel(int width, int height, int newWidth, int newHeight) {
    RgbImage image = random(width, height);
    Resolution to = new Resolution(newWidth, newHeight);
    byte[] whole = Bicubic.resize(image, to, Integer.MAX_VALUE).rgb();
    for (int band : new int[] {1, 1000, 20_000}) {
      assertThat(Bicubic.resize(image, to, band).rgb()).as("bands of %s", band).isEqualTo(whole);
    }
  }

  /** A tile's width for every row would be 81 million bytes, eight times the picture. */
  @Test
  void aThinPictureTakesNoMemoryByItsLength() {
    RgbImage image = random(40, 80_000);
    long before = allocated();
    ImageTiles tiles = RELEASED.tiles(image);
    assertThat(allocated() - before).isLessThan(32L << 20);
    assertThat(tiles.layout().resized()).isEqualTo(new Resolution(1, 2016));
  }

  @Test
  void aThinnerOneIsRefused() {
    for (RgbImage image : List.of(random(1, 20_000), random(20_000, 1))) {
      assertThatThrownBy(() -> RELEASED.tiles(image))
          .isInstanceOf(ImageException.class)
          .hasMessageContaining(image.size() + " pixels: too thin")
          .hasMessageContaining("crop the picture");
    }
  }
}
