package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.CoreKernels;
import java.nio.file.Path;

/** The bytes of one file as memory, read-only. */
interface FileMapping extends AutoCloseable {
  /**
   * The tensor that lies at its place in the file.
   *
   * @throws IllegalStateException if closed
   */
  Tensor view(TensorInfo info);

  /**
   * Tells that a tensor will not be read soon, so that its pages need not stay in memory.
   *
   * @throws IllegalStateException if closed
   */
  void release(TensorInfo info);

  /** Ends all tensors. */
  @Override
  void close();

  /** How a file is mapped. */
  @FunctionalInterface
  interface Mapper {
    /**
     * Maps a file of a known size.
     *
     * @throws CheckpointException if the system refuses
     */
    FileMapping map(Path file, long bytes);
  }

  /** The whole file where core's native library is there, windows of it where it is not. */
  static FileMapping best(Path file, long bytes) {
    return CoreKernels.library().availability().isAvailable()
        ? WholeFile.map(file, bytes)
        : WindowedFile.map(file, bytes);
  }
}
