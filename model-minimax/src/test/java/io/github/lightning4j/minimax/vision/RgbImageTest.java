package io.github.lightning4j.minimax.vision;

import static io.github.lightning4j.minimax.vision.ImageFiles.bytes;
import static io.github.lightning4j.minimax.vision.ImageFiles.components;
import static io.github.lightning4j.minimax.vision.ImageFiles.encoded;
import static io.github.lightning4j.minimax.vision.ImageFiles.png;
import static io.github.lightning4j.minimax.vision.ImageFiles.written;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import javax.imageio.ImageWriteParam;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What reading makes of pictures of every kind. */
final class RgbImageTest {
  @Test
  void dropsAlphaWithoutBlending() throws IOException {
    byte[] png =
        encoded("png", components(ColorSpace.CS_sRGB, 8, true, 10, 20, 30, 0, 200, 201, 202, 128));
    assertThat(RgbImage.read(png).rgb()).isEqualTo(bytes(10, 20, 30, 200, 201, 202));
    byte[] gray = encoded("png", components(ColorSpace.CS_GRAY, 8, true, 77, 0, 130, 255));
    assertThat(RgbImage.read(gray).rgb()).isEqualTo(bytes(77, 77, 77, 130, 130, 130));
  }

  @Test
  void takesTheUpperBitsOfSixteen() throws IOException {
    byte[] png =
        encoded("png", components(ColorSpace.CS_sRGB, 16, false, 0x1234, 0xffff, 0x00ff, 1, 2, 3));
    assertThat(RgbImage.read(png).rgb()).isEqualTo(bytes(0x12, 0xff, 0, 0, 0, 0));
    byte[] gray = encoded("png", components(ColorSpace.CS_GRAY, 16, false, 0x8001, 0x4fff));
    assertThat(RgbImage.read(gray).rgb()).isEqualTo(bytes(128, 128, 128, 79, 79, 79));
  }

  @ParameterizedTest
  @CsvSource({"1, 255", "2, 85", "4, 17"})
  void spreadsGrayOfFewBits(int bits, int step) throws IOException {
    int levels = 1 << bits;
    ByteArrayOutputStream row = new ByteArrayOutputStream();
    row.write(0); // no filter
    for (int at = 0; at < levels * bits; at += 8) {
      int packed = 0;
      for (int shift = 8 - bits; shift >= 0; shift -= bits) {
        int level = at / bits + (8 - bits - shift) / bits;
        packed |= (level % levels) << shift;
      }
      row.write(packed);
    }
    byte[] rgb = RgbImage.read(png(levels, 1, bits, 0, row.toByteArray())).rgb();
    for (int level = 0; level < levels; level++) {
      assertThat(rgb[3 * level] & 0xff).as("level %s", level).isEqualTo(level * step);
      assertThat(rgb[3 * level + 2] & 0xff).isEqualTo(level * step);
    }
  }

  @Test
  void givesTheSameFromAFileAndFromItsBytes() throws IOException {
    Path file = ImageCase.all().get(0).file();
    assertThat(RgbImage.read(Files.readAllBytes(file)).rgb()).isEqualTo(RgbImage.read(file).rgb());
  }

  @Test
  void copiesPixelsInAndOut() {
    byte[] rgb = bytes(1, 2, 3, 4, 5, 6);
    RgbImage image = RgbImage.of(2, 1, rgb);
    rgb[0] = 9;
    image.rgb()[1] = 9;
    assertThat(image.rgb()).isEqualTo(bytes(1, 2, 3, 4, 5, 6));
    assertThatThrownBy(() -> RgbImage.of(0, 1, rgb))
        .hasMessage("width: expected >= 1 pixel, got 0");
    assertThatThrownBy(() -> RgbImage.of(2, -1, rgb))
        .hasMessage("height: expected >= 1 pixel, got -1");
    assertThatThrownBy(() -> RgbImage.of(2, 2, rgb))
        .hasMessage("rgb: expected 12 bytes for 2x2, got 6");
    assertThatThrownBy(() -> RgbImage.of(10_000, 10_000, rgb))
        .hasMessage("size: expected at most 67108864 pixels, got 10000x10000");
  }

  @ParameterizedTest
  @ValueSource(strings = {"png", "jpeg"})
  void pixelsInSeveralPassesAreTheSame(String format) throws IOException {
    BufferedImage image = new BufferedImage(37, 29, BufferedImage.TYPE_3BYTE_BGR);
    Random random = new Random(3);
    for (int y = 0; y < 29; y++) {
      for (int x = 0; x < 37; x++) {
        image.setRGB(x, y, (x * 6) << 16 | (y * 8) << 8 | random.nextInt(16));
      }
    }
    byte[] once = written(format, image, ImageWriteParam.MODE_DISABLED);
    byte[] passes = written(format, image, ImageWriteParam.MODE_DEFAULT);
    assertThat(passes).isNotEqualTo(once);
    assertThat(RgbImage.read(passes).rgb()).isEqualTo(RgbImage.read(once).rgb());
  }
}
