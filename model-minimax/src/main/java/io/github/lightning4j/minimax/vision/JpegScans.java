package io.github.lightning4j.minimax.vision;

import java.io.EOFException;
import java.io.IOException;
import javax.imageio.stream.ImageInputStream;

/**
 * How often a JPEG file goes over its pixels: progressive ones refine them scan by scan, each of
 * which may be a few bytes long and costs as much as the whole picture.
 */
final class JpegScans {
  private static final int START_OF_SCAN = 0xda;
  private static final int END = 0xd9;

  private final ImageInputStream file;
  private final byte[] buffer = new byte[1 << 16];
  private int at;
  private int held;

  private JpegScans(ImageInputStream file) {
    this.file = file;
  }

  /** The number of scans of a file, up to where it ends; it stands at its beginning then. */
  static int count(ImageInputStream file) throws IOException {
    file.seek(0);
    int scans = 0;
    try {
      JpegScans bytes = new JpegScans(file);
      for (int marker = bytes.marker(); marker != END; marker = bytes.marker()) {
        boolean alone = marker == 0x01 || marker >= 0xd0 && marker <= 0xd8;
        if (!alone) {
          bytes.skip((bytes.next() << 8 | bytes.next()) - 2);
        }
        scans += marker == START_OF_SCAN ? 1 : 0;
      }
    } catch (EOFException e) {
      // the reader tells of it
    }
    file.seek(0);
    return scans;
  }

  /** The next marker; a 0xff of pixels has a zero behind it. */
  private int marker() throws IOException {
    while (true) {
      while (next() != 0xff) {
        continue;
      }
      int marker = next();
      while (marker == 0xff) {
        marker = next();
      }
      if (marker != 0) {
        return marker;
      }
    }
  }

  private void skip(int count) throws IOException {
    for (int i = 0; i < count; i++) {
      next();
    }
  }

  private int next() throws IOException {
    if (at == held) {
      held = file.read(buffer, 0, buffer.length);
      at = 0;
      if (held <= 0) {
        throw new EOFException();
      }
    }
    return buffer[at++] & 0xff;
  }
}
