package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.CheckpointException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Map;

/**
 * What a file says before its data.
 *
 * @param fileBytes the size of the file
 * @param tensors all tensors in the order of their data
 * @param metadata free text under {@code __metadata__}
 */
record Header(long fileBytes, Map<String, TensorInfo> tensors, Map<String, String> metadata) {
  /** The format's own limit. */
  static final long MAX_BYTES = 100_000_000;

  /** Reads and checks the header of a file. */
  static Header read(Path file) {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
      long fileBytes = channel.size();
      if (fileBytes < Long.BYTES) {
        throw new CheckpointException(
            file, "expected at least 8 bytes with the length of the header, got " + fileBytes);
      }
      long length = read(channel, 0, Long.BYTES).order(ByteOrder.LITTLE_ENDIAN).getLong();
      if (length <= 0 || length > MAX_BYTES) {
        throw new CheckpointException(
            file,
            "header length at byte 0: expected 1 to "
                + MAX_BYTES
                + ", got "
                + Long.toUnsignedString(length));
      }
      if (length > fileBytes - Long.BYTES) {
        throw new CheckpointException(
            file,
            "header length at byte 0: expected at most "
                + (fileBytes - Long.BYTES)
                + " in a file of "
                + fileBytes
                + " bytes, got "
                + length
                + "; the file is cut off or is no safetensors file");
      }
      byte[] json = read(channel, Long.BYTES, (int) length).array();
      HeaderParser parsed = HeaderParser.parse(file, json);
      return new Header(
          fileBytes,
          Layout.inOrder(file, fileBytes, Long.BYTES + length, parsed.tensors()),
          parsed.metadata());
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be read (" + e + ")", e);
    }
  }

  private static ByteBuffer read(FileChannel channel, long position, int bytes) throws IOException {
    ByteBuffer buffer = ByteBuffer.allocate(bytes);
    while (buffer.hasRemaining()) {
      if (channel.read(buffer, position + buffer.position()) < 0) {
        throw new IOException("it ended at byte " + (position + buffer.position()));
      }
    }
    return buffer.flip();
  }
}
