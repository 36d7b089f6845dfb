package io.github.lightning4j.core.safetensors;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.io.IOException;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import org.bytedeco.javacpp.BytePointer;

/**
 * A file mapped by the JDK, which maps less than 2 GiB at a time: overlapping windows, each mapped
 * when a tensor in it is first asked for.
 *
 * <p>A window begins every {@code step} bytes and is {@code length} bytes long, so a tensor of at
 * most {@code length - step} bytes lies in the window it begins in. A longer one that does not gets
 * a mapping of its own; one longer than {@code length} is read into allocated memory. The JDK ends
 * mappings when the garbage collector finds them unused, some time after closing.
 */
final class WindowedFile implements FileMapping {
  private static final long STEP = 1L << 30;
  // A multiple of every element size below the 2^31 - 1 bytes that a buffer may have.
  private static final int LENGTH = Integer.MAX_VALUE - 7;

  private final Path file;
  private final long bytes;
  private final long step;
  private final int length;
  private final FileChannel channel;
  private final Map<Long, Memory> windows = new HashMap<>();
  private final Map<Long, Memory> longTensors = new HashMap<>();
  private boolean closed;

  private WindowedFile(Path file, long bytes, long step, int length, FileChannel channel) {
    this.file = file;
    this.bytes = bytes;
    this.step = step;
    this.length = length;
    this.channel = channel;
  }

  static WindowedFile map(Path file, long bytes) {
    return map(file, bytes, STEP, LENGTH);
  }

  /** Maps with windows of a certain size. */
  static WindowedFile map(Path file, long bytes, long step, int length) {
    try {
      FileChannel channel = FileChannel.open(file, StandardOpenOption.READ);
      return new WindowedFile(file, bytes, step, length, channel);
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be opened (" + e + ")", e);
    }
  }

  @Override
  public synchronized Tensor view(TensorInfo info) {
    checkState(!closed, "%s is closed", file);
    var dtype = Objects.requireNonNull(info.dtype());
    // Data of no bytes at the very end lies in the last window.
    long begin = Math.min(info.begin(), bytes - 1) / step * step;
    if (info.end() <= begin + length) {
      Memory window =
          windows.computeIfAbsent(begin, at -> mapped(at, Math.min(length, bytes - at)));
      return Tensor.view(window, info.begin() - begin, dtype, info.shape());
    }
    Memory own =
        longTensors.computeIfAbsent(
            info.begin(),
            at -> info.bytes() <= length ? mapped(at, info.bytes()) : read(at, info.bytes()));
    return Tensor.view(own, 0, dtype, info.shape());
  }

  private Memory mapped(long begin, long count) {
    try {
      ByteBuffer buffer = channel.map(FileChannel.MapMode.READ_ONLY, begin, count);
      long address = new BytePointer(buffer).address();
      return Memory.wrapReadOnly(address, count, () -> Reference.reachabilityFence(buffer));
    } catch (IOException e) {
      throw new CheckpointException(
          file, "the system refused to map " + count + " bytes from byte " + begin, e);
    }
  }

  private Memory read(long begin, long count) {
    Memory memory = Memory.allocate(count);
    try {
      for (long done = 0; done < count; ) {
        long piece = Math.min(length, count - done);
        ByteBuffer buffer = Memory.pointer(memory.address() + done, piece).asByteBuffer();
        int got = channel.read(buffer, begin + done);
        if (got < 0) {
          throw new IOException("it ended at byte " + (begin + done));
        }
        done += got;
      }
      return memory;
    } catch (IOException e) {
      memory.close();
      throw new CheckpointException(file, "cannot be read (" + e + ")", e);
    }
  }

  /** The JDK has no way to say so. */
  @Override
  public synchronized void release(TensorInfo info) {
    checkState(!closed, "%s is closed", file);
  }

  @Override
  public synchronized void close() {
    checkState(!closed, "%s is closed already", file);
    closed = true;
    windows.values().forEach(Memory::close);
    longTensors.values().forEach(Memory::close);
    try {
      channel.close();
    } catch (IOException e) {
      throw new CheckpointException(file, "cannot be closed (" + e + ")", e);
    }
  }
}
