package io.github.lightning4j.core.safetensors;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * Writes tensors to a safetensors file.
 *
 * <p>Tensors whose bytes are a multiple of 64 lie first, in the order of the map; the others by
 * element size, largest first, so each tensor is aligned to its elements. The data begins at a
 * multiple of 64 bytes where there are tensors of the first kind, which are so aligned for vectors
 * as well, else of eight. The file appears whole or not at all: it is written under another name in
 * the same folder, forced to the disk, and renamed over what was there before.
 */
public final class SafetensorsWriter {
  private static final JsonMapper JSON = new JsonMapper();

  /** Bytes of a cache line. */
  private static final int LINE = 64;

  /** Bytes handed to the system at once. */
  private static final long PIECE = 1 << 30;

  private SafetensorsWriter() {}

  /**
   * Writes a file.
   *
   * @param file where to; a file that is there is replaced
   * @param tensors the tensors by name, with any strides; a strided one is copied on the way
   * @param metadata free text for the header; may be empty
   * @throws IllegalArgumentException if a tensor is called {@code __metadata__}, or the header
   *     would be longer than a reader accepts
   * @throws IllegalStateException if a tensor is closed
   * @throws UncheckedIOException if the system fails to write; nothing is left behind then
   */
  public static void write(Path file, Map<String, Tensor> tensors, Map<String, String> metadata) {
    List<Map.Entry<String, Tensor>> ordered = ordered(tensors);
    ByteBuffer header = header(ordered, metadata);
    Path target = target(file);
    Path unfinished = target.resolveSibling("." + target.getFileName() + "." + UUID.randomUUID());
    try {
      try (FileChannel channel =
          FileChannel.open(unfinished, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
        writeFully(channel, header);
        for (Map.Entry<String, Tensor> entry : ordered) {
          writeData(channel, entry.getValue());
        }
        channel.force(true);
      }
      Files.move(unfinished, target, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": cannot be written (" + e + ")", e);
    } finally {
      unfinished.toFile().delete();
    }
  }

  /** What a link leads to; a device or a folder is not replaced by a file. */
  private static Path target(Path file) {
    try {
      Path target = Files.exists(file) ? file.toRealPath() : file.toAbsolutePath();
      if (Files.exists(target) && !Files.isRegularFile(target)) {
        throw new IOException("it is there and not a regular file");
      }
      return target;
    } catch (IOException e) {
      throw new UncheckedIOException(file + ": cannot be written (" + e.getMessage() + ")", e);
    }
  }

  private static List<Map.Entry<String, Tensor>> ordered(Map<String, Tensor> tensors) {
    if (tensors.containsKey("__metadata__")) {
      throw new IllegalArgumentException("tensors: the format reserves the name __metadata__");
    }
    return tensors.entrySet().stream()
        .sorted(
            Comparator.comparing(
                e -> isLined(e.getValue()) ? -LINE : -e.getValue().dtype().bytes()))
        .toList();
  }

  /** Whether whatever follows a tensor is as aligned as the tensor itself, to cache lines. */
  private static boolean isLined(Tensor tensor) {
    return tensor.elements() > 0 && bytes(tensor) % LINE == 0;
  }

  private static long bytes(Tensor tensor) {
    return tensor.elements() * tensor.dtype().bytes();
  }

  private static ByteBuffer header(
      List<Map.Entry<String, Tensor>> tensors, Map<String, String> metadata) {
    ObjectNode root = JSON.createObjectNode();
    if (!metadata.isEmpty()) {
      root.set("__metadata__", JSON.valueToTree(metadata));
    }
    long begin = 0;
    for (Map.Entry<String, Tensor> entry : tensors) {
      Tensor tensor = entry.getValue();
      long end = begin + bytes(tensor);
      ObjectNode fields = root.putObject(entry.getKey());
      fields.put("dtype", tensor.dtype().name());
      fields.set("shape", JSON.valueToTree(tensor.shape()));
      fields.set("data_offsets", JSON.valueToTree(new long[] {begin, end}));
      begin = end;
    }
    byte[] json = root.toString().getBytes(StandardCharsets.UTF_8);
    boolean lined = !tensors.isEmpty() && isLined(tensors.get(0).getValue());
    int step = lined ? LINE : Long.BYTES;
    int padded = (Long.BYTES + json.length + step - 1) / step * step - Long.BYTES;
    if (padded > Header.MAX_BYTES) {
      throw new IllegalArgumentException(
          "tensors: expected names and shapes of at most "
              + Header.MAX_BYTES
              + " bytes as JSON, got "
              + padded);
    }
    ByteBuffer header = ByteBuffer.allocate(Long.BYTES + padded).order(ByteOrder.LITTLE_ENDIAN);
    header.putLong(padded).put(json);
    while (header.hasRemaining()) {
      header.put((byte) ' ');
    }
    return header.flip();
  }

  private static void writeData(FileChannel channel, Tensor tensor) throws IOException {
    if (!tensor.isContiguous()) {
      DType dtype = tensor.dtype();
      try (Tensor dense = Tensor.allocate(dtype, tensor.shape())) {
        dense.copyFrom(tensor);
        writeData(channel, dense);
      }
      return;
    }
    long bytes = bytes(tensor);
    for (long done = 0; done < bytes; done += PIECE) {
      long piece = Math.min(PIECE, bytes - done);
      writeFully(channel, Memory.pointer(tensor.address() + done, piece).asByteBuffer());
    }
  }

  private static void writeFully(FileChannel channel, ByteBuffer buffer) throws IOException {
    while (buffer.hasRemaining()) {
      channel.write(buffer);
    }
  }
}
