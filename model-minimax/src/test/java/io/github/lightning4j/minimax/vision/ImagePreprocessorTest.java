package io.github.lightning4j.minimax.vision;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.Threads;
import io.github.lightning4j.core.safetensors.SafetensorsFile;
import io.github.lightning4j.core.testkit.Closeness;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** From files to tiles, to the bit. */
final class ImagePreprocessorTest {
  static List<ImageCase> cases() {
    return ImageCase.all();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void readsTheStatedPixels(ImageCase image) {
    try (SafetensorsFile golden = image.open()) {
      assertThat(levels(RgbImage.read(image.file()).rgb()))
          .isEqualTo(golden.tensor("source_rgb").toDoubles());
    }
  }

  @ParameterizedTest
  @MethodSource("cases")
  void everyPixelOfEveryTileIsTheStatedOne(ImageCase image) {
    ImagePreprocessor preprocessor = image.preprocessor();
    ImageTiles tiles = preprocessor.tiles(RgbImage.read(image.file()));
    assertThat(ImageCase.geometry(tiles.layout()))
        .isEqualTo(ImageCase.geometry(image.facts().get("geometry")));
    try (SafetensorsFile golden = image.open()) {
      Tensor expected = golden.tensor("tiles_u8");
      assertThat(levels(tiles.pixels())).isEqualTo(expected.toDoubles());
      Closeness.assertWithin(
          "pixel values",
          normalized(preprocessor, tiles, expected.shape()),
          golden.tensor("pixel_values").toDoubles(),
          1e-6);
    }
  }

  private static double[] normalized(
      ImagePreprocessor preprocessor, ImageTiles tiles, long[] shape) {
    double[] values = new double[(int) (shape[0] * 3 * shape[2] * shape[3])];
    int at = 0;
    for (int tile = 0; tile < shape[0]; tile++) {
      for (int channel = 0; channel < 3; channel++) {
        for (int y = 0; y < shape[2]; y++) {
          for (int x = 0; x < shape[3]; x++) {
            values[at++] = preprocessor.normalized(channel, tiles.level(tile, channel, y, x));
          }
        }
      }
    }
    return values;
  }

  private static double[] levels(byte[] bytes) {
    double[] levels = new double[bytes.length];
    for (int i = 0; i < bytes.length; i++) {
      levels[i] = bytes[i] & 0xff;
    }
    return levels;
  }

  @Test
  void everySizeOfTheTableHasTheStatedLayout() {
    JsonNode table = ImageCase.json("table336.json");
    AnyResolution resolution =
        new AnyResolution(
            table.get("tile").asInt(),
            table.get("patch").asInt(),
            ImageCase.resolutions(table.get("pinpoints_wh")));
    assertThat(table.get("rows")).hasSize(72);
    int thin = 0;
    for (JsonNode row : table.get("rows")) {
      Resolution size = new Resolution(row.get("width").asInt(), row.get("height").asInt());
      if (row.get("reference_error").asBoolean()) {
        thin++;
        assertThatThrownBy(() -> resolution.layout(size))
            .isInstanceOf(ImageException.class)
            .hasMessageContaining(size + " pixels: too thin");
      } else {
        assertThat(ImageCase.geometry(resolution.layout(size)))
            .as(size.toString())
            .isEqualTo(ImageCase.geometry(row));
      }
    }
    assertThat(thin).isPositive();
  }

  @Test
  void pixelsDoNotDependOnThreads() {
    int before = Threads.count();
    byte[] rgb = new byte[3 * 900 * 700];
    new Random(1).nextBytes(rgb);
    RgbImage image = RgbImage.of(900, 700, rgb);
    ImagePreprocessor preprocessor = ImageCase.all().get(0).preprocessor();
    try {
      Threads.use(1);
      byte[] one = preprocessor.tiles(image).pixels();
      Threads.use(3);
      assertThat(preprocessor.tiles(image).pixels()).isEqualTo(one);
    } finally {
      Threads.use(before);
    }
  }

  @Test
  void refusesSettingsThatDoNotFit() {
    List<Resolution> canvases = List.of(new Resolution(28, 56));
    assertThatThrownBy(() -> new AnyResolution(28, 5, canvases))
        .hasMessage("patch_size: expected a divisor of the tile of 28 pixels, got 5");
    assertThatThrownBy(() -> new AnyResolution(28, 7, List.of()))
        .hasMessage("image_grid_pinpoints: expected at least one, got none");
    assertThatThrownBy(() -> new AnyResolution(14, 7, List.of(new Resolution(28, 20))))
        .hasMessage("image_grid_pinpoints: expected multiples of the tile of 14 pixels, got 28x20");
    AnyResolution resolution = new AnyResolution(28, 7, canvases);
    assertThatThrownBy(
            () -> new ImagePreprocessor(resolution, List.of(0.0), List.of(1.0, 1.0, 1.0)))
        .hasMessage("image_mean: expected 3 channels, got [0.0]");
    assertThatThrownBy(
            () -> new ImagePreprocessor(resolution, List.of(0.0, 0.0, 0.0), List.of(1.0, 0.0, 1.0)))
        .hasMessage("image_std: expected 3 channels, all > 0, got [1.0, 0.0, 1.0]");
  }
}
