package io.github.lightning4j.minimax.vision;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import javax.imageio.ImageIO;
import javax.imageio.ImageReader;
import javax.imageio.stream.FileImageInputStream;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.MemoryCacheImageInputStream;
import org.jspecify.annotations.Nullable;

/**
 * Reads PNG and JPEG with the JDK's ImageIO. The size is told by the header and refused there, so a
 * small file that claims a huge picture costs nothing; so is a picture whose pixels the heap cannot
 * hold, and one with more scans than pictures have. Interlaced PNG goes over its pixels seven times
 * at most, whatever the file says, and needs no limit of its own.
 */
final class ImageFile {
  private static final Set<String> FORMATS = Set.of("png", "jpeg");

  /** The most pixels of all scans of a JPEG together: 16 scans of the largest picture. */
  private static final long MAX_SCANNED = 16 * RgbImage.MAX_PIXELS;

  private final String source;
  private final long heap;
  private boolean cutOff;

  private ImageFile(String source, long heap) {
    this.source = source;
    this.heap = heap;
  }

  private ImageFile(String source) {
    this(source, Runtime.getRuntime().maxMemory());
  }

  static RgbImage read(Path file) {
    if (!Files.isRegularFile(file)) {
      throw new ImageException(
          file.toString(), Files.exists(file) ? "expected a file, got a folder" : "no such file");
    }
    ImageFile image = new ImageFile(file.toString());
    try (ImageInputStream in = new FileImageInputStream(file.toFile())) {
      return image.read(in);
    } catch (FileNotFoundException e) {
      throw new ImageException(image.source, "cannot be read: " + e.getMessage(), e);
    } catch (IOException e) {
      throw image.damaged(e);
    }
  }

  static RgbImage read(byte[] bytes) {
    return read(bytes, Runtime.getRuntime().maxMemory());
  }

  /** As in a heap of so many bytes. */
  static RgbImage read(byte[] bytes, long heap) {
    ImageFile image = new ImageFile("image of " + bytes.length + " bytes", heap);
    try (ImageInputStream in = new MemoryCacheImageInputStream(new ByteArrayInputStream(bytes))) {
      return image.read(in);
    } catch (IOException e) {
      throw image.damaged(e);
    }
  }

  private RgbImage read(ImageInputStream in) throws IOException {
    ImageReader reader = reader(in);
    try {
      if (isOf("png", reader)) {
        PngChunks chunks = PngChunks.of(source, in);
        // Metadata are left alone: they are of no use here and may unpack to any size.
        reader.setInput(chunks, true, true);
        return decode(reader, size(reader), chunks.pixelBytes());
      }
      int scans = JpegScans.count(in);
      reader.setInput(in, true, true);
      Resolution size = size(reader);
      if (scans > MAX_SCANNED / size.pixels()) {
        throw new ImageException(
            source,
            "expected at most "
                + MAX_SCANNED / size.pixels()
                + " scans of "
                + size
                + " pixels, got "
                + scans
                + "; save it again, not progressive");
      }
      return decode(reader, size, 3);
    } catch (ImageException e) {
      throw e;
    } catch (RuntimeException e) {
      throw damaged(e); // the readers meet broken files with exceptions of any kind
    } finally {
      reader.dispose();
    }
  }

  /**
   * Decodes.
   *
   * @param pixelBytes of a decoded pixel; as RGB it takes 3 more
   */
  private RgbImage decode(ImageReader reader, Resolution size, int pixelBytes) throws IOException {
    long needed = size.pixels() * (pixelBytes + 3);
    if (needed > heap) {
      throw tooLarge(size, needed, null);
    }
    try {
      reader.addIIOReadWarningListener((from, warning) -> cutOff |= tellsOfCut(warning));
      BufferedImage decoded = reader.read(0);
      if (cutOff) {
        throw new ImageException(source, "the file is cut off; expected the whole of it");
      }
      int bands = decoded.getRaster().getNumBands();
      if (isOf("jpeg", reader) && bands != 1 && bands != 3) {
        throw new ImageException(
            source, "expected a JPEG of gray or RGB, got " + bands + " components; convert it");
      }
      return new RgbImage(size, RasterSamples.rgb(decoded));
    } catch (OutOfMemoryError e) {
      throw tooLarge(size, needed, e);
    }
  }

  private ImageException tooLarge(Resolution size, long needed, @Nullable OutOfMemoryError cause) {
    String message =
        "no room in the heap for "
            + needed
            + " bytes of "
            + size
            + " pixels, of "
            + heap
            + "; make the picture smaller or the heap larger (-Xmx)";
    return cause == null
        ? new ImageException(source, message)
        : new ImageException(source, message, cause);
  }

  private ImageReader reader(ImageInputStream in) {
    Iterator<ImageReader> readers = ImageIO.getImageReaders(in);
    while (readers.hasNext()) {
      ImageReader reader = readers.next();
      if (FORMATS.stream().anyMatch(format -> isOf(format, reader))) {
        return reader;
      }
      reader.dispose();
    }
    throw new ImageException(source, "expected a PNG or JPEG picture, got something else");
  }

  private static boolean isOf(String format, ImageReader reader) {
    return List.of(reader.getOriginatingProvider().getFormatNames()).contains(format);
  }

  private Resolution size(ImageReader reader) throws IOException {
    int width = reader.getWidth(0);
    int height = reader.getHeight(0);
    if (width < 1 || height < 1) {
      throw new ImageException(source, "expected pixels, got a size of " + width + "x" + height);
    }
    Resolution size = new Resolution(width, height);
    if (size.pixels() > RgbImage.MAX_PIXELS) {
      throw new ImageException(
          source,
          "expected at most "
              + RgbImage.MAX_PIXELS
              + " pixels, got "
              + size
              + " by the header; make it smaller");
    }
    return size;
  }

  /** The JPEG reader fills what is missing with gray, and only remarks on it. */
  private static boolean tellsOfCut(String warning) {
    String text = warning.toLowerCase(Locale.ROOT);
    return text.contains("premature") || text.contains("truncated");
  }

  private ImageException damaged(Exception e) {
    String message = e.getMessage() == null ? e.toString() : e.getMessage();
    return new ImageException(source, "cannot be decoded: " + message, e);
  }
}
