package io.github.lightning4j.minimax.vision;

import static io.github.lightning4j.minimax.vision.ImageFiles.allocated;
import static io.github.lightning4j.minimax.vision.ImageFiles.bytes;
import static io.github.lightning4j.minimax.vision.ImageFiles.chunk;
import static io.github.lightning4j.minimax.vision.ImageFiles.components;
import static io.github.lightning4j.minimax.vision.ImageFiles.encoded;
import static io.github.lightning4j.minimax.vision.ImageFiles.png;
import static io.github.lightning4j.minimax.vision.ImageFiles.written;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.awt.color.ColorSpace;
import java.awt.image.BufferedImage;
import java.awt.image.DataBuffer;
import java.awt.image.Raster;
import java.awt.image.WritableRaster;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import java.util.zip.DeflaterOutputStream;
import javax.imageio.IIOImage;
import javax.imageio.ImageIO;
import javax.imageio.ImageWriteParam;
import javax.imageio.ImageWriter;
import javax.imageio.stream.ImageOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Which files reading refuses, and how little those cost that claim more than they hold. */
final class HostileImageTest {
  @TempDir private Path temp;

  @Test
  void refusesHugePicturesByTheirHeader() throws IOException {
    // A few bytes that claim 40 GB of pixels: no row is ever asked for.
    refused(png(120_000, 120_000, 8, 2, new byte[3]), "at most 67108864 pixels, got 120000x120000");
    byte[] jpeg = encoded("jpeg", components(ColorSpace.CS_GRAY, 8, false, 1, 2, 3, 4));
    int frame = frameHeader(jpeg);
    ByteBuffer.wrap(jpeg).putShort(frame + 5, (short) 65_000).putShort(frame + 7, (short) 65_000);
    refused(jpeg, "at most 67108864 pixels, got 65000x65000");
  }

  @Test
  void refusesWhatTheHeapCannotHold() throws IOException {
    byte[] png = png(400, 300, 8, 2, new byte[300 * 1201]);
    assertThat(ImageFile.read(png, 720_000).size()).isEqualTo(new Resolution(400, 300));
    assertThatThrownBy(() -> ImageFile.read(png, 719_999))
        .isInstanceOf(ImageException.class)
        .hasMessageContaining("no room in the heap for 720000 bytes of 400x300 pixels, of 719999")
        .hasMessageContaining("-Xmx");
    byte[] deep = png(400, 300, 16, 6, new byte[300 * 3201]);
    assertThat(ImageFile.read(deep, 11 * 120_000).size().pixels()).isEqualTo(120_000);
    assertThatThrownBy(() -> ImageFile.read(deep, 11 * 120_000 - 1))
        .hasMessageContaining("1320000 bytes");
  }

  /** In a JVM of its own, whose heap holds the pixels once, not twice. */
  @Test
  void runningOutOfHeapIsAFaultOfThePicture() throws Exception {
    Path file =
        Files.write(temp.resolve("large.png"), png(3100, 3100, 8, 2, new byte[3100 * 9301]));
    String classes =
        System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    Process reader =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-Xmx64m",
                "-Xmn8m",
                "-cp",
                classes,
                PictureReader.class.getName(),
                file.toString())
            .redirectErrorStream(true)
            .start();
    String said = new String(reader.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    assertThat(reader.waitFor()).as(said).isZero();
    assertThat(said).contains("ImageException caused by OutOfMemoryError").contains("no room");
  }

  /** Half a GiB of text in half a MiB of file, before and behind the pixels. */
  @ParameterizedTest
  @ValueSource(strings = {"zTXt", "iTXt", "iCCP"})
  void packedTextsAreNotUnpacked(String type) throws IOException {
    ByteArrayOutputStream packed = new ByteArrayOutputStream();
    packed.write("bomb\0\0".getBytes(StandardCharsets.US_ASCII));
    if (type.equals("iTXt")) {
      packed = new ByteArrayOutputStream();
      packed.write("bomb\0\1\0en\0x\0".getBytes(StandardCharsets.US_ASCII));
    }
    try (DeflaterOutputStream deflater = new DeflaterOutputStream(packed)) {
      for (int i = 0; i < 512; i++) {
        deflater.write(new byte[1 << 20]);
      }
    }
    byte[] bomb = packed.toByteArray();
    byte[] file = withPalette(type, bomb);
    int[] at = {file.length - bomb.length, file.length};
    long before = allocated();
    assertThat(RgbImage.read(file).rgb()).isEqualTo(bytes(1, 2, 3, 4, 5, 6));
    assertThat(allocated() - before).as("bytes of %s to %s", at[0], at[1]).isLessThan(16L << 20);
  }

  /** Two pixels with a palette, whose metadata the JDK's reader reads in any case. */
  private static byte[] withPalette(String type, byte[] more) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    DataOutputStream out = new DataOutputStream(bytes);
    byte[] plain = png(2, 1, 8, 3, bytes(0, 0, 1));
    int pixels = 8 + 25;
    out.write(plain, 0, pixels);
    chunk(out, "PLTE", bytes(1, 2, 3, 4, 5, 6));
    chunk(out, type, more);
    int end = plain.length - 12;
    out.write(plain, pixels, end - pixels);
    chunk(out, type, more);
    out.write(plain, end, 12);
    return bytes.toByteArray();
  }

  @Test
  void refusesChunksOfImpossibleSize() throws IOException {
    byte[] png = withPalette("tEXt", new byte[3]);
    byte[] huge = png.clone();
    ByteBuffer.wrap(huge).putInt(33, 600 << 20); // the palette
    refused(huge, "a chunk of 629145600 bytes");
    byte[] negative = png.clone();
    ByteBuffer.wrap(negative).putInt(33, -1);
    refused(negative, "a chunk of 4294967295 bytes");
  }

  /** A few bytes a scan, each of which would go over all pixels. */
  @Test
  void refusesMoreScansThanPicturesHave() throws IOException {
    BufferedImage image = new BufferedImage(64, 64, BufferedImage.TYPE_BYTE_GRAY);
    byte[] jpeg = written("jpeg", image, ImageWriteParam.MODE_DEFAULT);
    int frame = frame(jpeg, 0xc2);
    ByteBuffer.wrap(jpeg).putShort(frame + 5, (short) 8000).putShort(frame + 7, (short) 8000);
    byte[] scan = bytes(0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0);
    ByteBuffer bomb = ByteBuffer.allocate(jpeg.length + 100 * scan.length);
    bomb.put(jpeg, 0, jpeg.length - 2);
    for (int i = 0; i < 100; i++) {
      bomb.put(scan);
    }
    bomb.put(bytes(0xff, 0xd9));
    refused(bomb.array(), "expected at most 16 scans of 8000x8000 pixels, got 1");
  }

  @Test
  void refusesPicturesWithoutPixels() throws IOException {
    refused(png(0, 4, 8, 2, new byte[0]), "");
    refused(png(4, 0, 8, 2, new byte[0]), "");
    byte[] jpeg = encoded("jpeg", components(ColorSpace.CS_GRAY, 8, false, 1, 2, 3, 4));
    ByteBuffer.wrap(jpeg).putShort(frameHeader(jpeg) + 5, (short) 0);
    refused(jpeg, "");
  }

  @ParameterizedTest
  @ValueSource(strings = {"wide_rgb.png", "palette.png", "square_photo_jpg444.jpg", "gray.png"})
  void refusesFilesThatAreCutOff(String name) throws IOException {
    byte[] whole = Files.readAllBytes(ImageCase.folder().resolve("images").resolve(name));
    for (int part : new int[] {0, 1, 10, whole.length / 3, whole.length * 2 / 3}) {
      refused(Arrays.copyOf(whole, part), "");
    }
  }

  @Test
  void refusesWhatIsNoPicture() throws IOException {
    refused(
        "GIF89a, or so it says".getBytes(StandardCharsets.US_ASCII),
        "expected a PNG or JPEG picture");
    refused(encoded("bmp", components(ColorSpace.CS_sRGB, 8, false, 1, 2, 3)), "PNG or JPEG");
    Path missing = temp.resolve("missing.png");
    assertThatThrownBy(() -> RgbImage.read(missing))
        .isInstanceOf(ImageException.class)
        .hasMessage(missing + ": no such file");
    assertThatThrownBy(() -> RgbImage.read(temp))
        .hasMessage(temp + ": expected a file, got a folder");
    Path broken = Files.write(temp.resolve("broken.png"), png(4, 4, 8, 2, new byte[7]));
    assertThatThrownBy(() -> RgbImage.read(broken))
        .isInstanceOfSatisfying(
            ImageException.class, e -> assertThat(e.source()).isEqualTo(broken.toString()));
  }

  @Test
  void refusesFourInks() throws IOException {
    WritableRaster inks = Raster.createInterleavedRaster(DataBuffer.TYPE_BYTE, 2, 2, 4, null);
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    ImageWriter writer = ImageIO.getImageWritersByFormatName("jpeg").next();
    try (ImageOutputStream to = ImageIO.createImageOutputStream(out)) {
      writer.setOutput(to);
      writer.write(new IIOImage(inks, null, null));
    } finally {
      writer.dispose();
    }
    refused(out.toByteArray(), "expected a JPEG of gray or RGB, got 4 components");
  }

  @Test
  void refusesRandomDamageOrReadsOn() throws IOException {
    byte[] whole = Files.readAllBytes(ImageCase.folder().resolve("images/palette.png"));
    Random random = new Random(7);
    for (int i = 0; i < 300; i++) {
      byte[] damaged = whole.clone();
      damaged[random.nextInt(whole.length)] ^= (byte) (1 << random.nextInt(8));
      try {
        assertThat(RgbImage.read(damaged).size().pixels()).isPositive();
      } catch (ImageException e) {
        assertThat(e).hasMessageStartingWith("image of " + whole.length + " bytes: ");
      }
    }
  }

  private static void refused(byte[] file, String message) {
    assertThatThrownBy(() -> RgbImage.read(file))
        .isInstanceOf(ImageException.class)
        .hasMessageStartingWith("image of " + file.length + " bytes: ")
        .hasMessageContaining(message);
  }

  /** Where the frame header of a JPEG begins. */
  private static int frameHeader(byte[] jpeg) {
    return frame(jpeg, 0xc0);
  }

  private static int frame(byte[] jpeg, int kind) {
    for (int at = 2; at < jpeg.length - 9; ) {
      int marker = jpeg[at + 1] & 0xff;
      if (marker == kind) {
        return at;
      }
      at += 2 + ((jpeg[at + 2] & 0xff) << 8 | jpeg[at + 3] & 0xff);
    }
    throw new AssertionError("no frame header");
  }
}
