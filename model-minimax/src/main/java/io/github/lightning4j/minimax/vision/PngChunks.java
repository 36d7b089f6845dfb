package io.github.lightning4j.minimax.vision;

import java.io.EOFException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.stream.ImageInputStream;
import javax.imageio.stream.ImageInputStreamImpl;

/**
 * A PNG file with header, palette and pixels alone. All else that it may hold (texts, profiles,
 * transparency) is of no use here, and some of it is packed: the JDK's reader unpacks such chunks
 * of pictures with a palette whole, so a small file could take any memory. What is left out is
 * never read.
 */
final class PngChunks extends ImageInputStreamImpl {
  private static final int SIGNATURE = 8;
  private static final int HEADER = 13;
  private static final int PALETTE = 3 * 256;

  /** A part of the file, and where it lies here. */
  private record Part(long from, long to, long at) {}

  private final ImageInputStream file;
  private final List<Part> parts = new ArrayList<>();
  private int bits;
  private int channels;
  private int current;

  private PngChunks(ImageInputStream file) {
    this.file = file;
  }

  /**
   * Goes through the chunks of a file; one that is cut off ends where it ends.
   *
   * @param source of the file, for messages
   * @throws ImageException if a chunk has a size that it cannot have
   */
  static PngChunks of(String source, ImageInputStream file) throws IOException {
    PngChunks chunks = new PngChunks(file);
    chunks.keep(0, SIGNATURE);
    long at = SIGNATURE;
    try {
      for (int type = 0; type != type("IEND"); ) {
        file.seek(at);
        int length = file.readInt();
        type = file.readInt();
        if (length < 0
            || type == type("IHDR") && length != HEADER
            || type == type("PLTE") && length > PALETTE) {
          throw new ImageException(
              source, "cannot be decoded: a chunk of " + (length & 0xffffffffL) + " bytes");
        }
        if (type == type("IHDR")) {
          file.skipBytes(8);
          chunks.bits = file.readUnsignedByte();
          chunks.channels = channels(file.readUnsignedByte());
        }
        long end = at + 12 + length;
        if (type == type("IHDR")
            || type == type("PLTE")
            || type == type("IDAT")
            || type == type("IEND")) {
          chunks.keep(at, end);
        }
        at = end;
      }
    } catch (EOFException e) {
      return chunks; // the reader tells of it
    }
    return chunks;
  }

  private static int type(String name) {
    return name.charAt(0) << 24 | name.charAt(1) << 16 | name.charAt(2) << 8 | name.charAt(3);
  }

  private static int channels(int colorType) {
    return switch (colorType) {
      case 2 -> 3;
      case 4 -> 2;
      case 6 -> 4;
      default -> 1;
    };
  }

  private void keep(long from, long to) {
    if (parts.isEmpty()) {
      parts.add(new Part(from, to, 0));
      return;
    }
    Part last = parts.get(parts.size() - 1);
    if (last.to() == from) {
      parts.set(parts.size() - 1, new Part(last.from(), to, last.at()));
    } else {
      parts.add(new Part(from, to, last.at() + last.to() - last.from()));
    }
  }

  /** Bytes of a decoded pixel, at most. */
  int pixelBytes() {
    return channels * (bits > 8 ? 2 : 1);
  }

  @Override
  public int read() throws IOException {
    byte[] one = new byte[1];
    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
  }

  @Override
  public int read(byte[] bytes, int offset, int length) throws IOException {
    setBitOffset(0);
    if (length == 0) {
      return 0;
    }
    if (streamPos < parts.get(current).at()) {
      current = 0;
    }
    while (streamPos - parts.get(current).at()
        >= parts.get(current).to() - parts.get(current).from()) {
      if (current == parts.size() - 1) {
        return -1;
      }
      current++;
    }
    Part part = parts.get(current);
    long from = part.from() + streamPos - part.at();
    file.seek(from);
    int count = file.read(bytes, offset, (int) Math.min(length, part.to() - from));
    streamPos += Math.max(0, count);
    return count;
  }
}
