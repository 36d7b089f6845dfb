package io.github.lightning4j.minimax.internal;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.kvquant.KvCache;
import io.github.lightning4j.kvquant.KvCacheConfig;
import io.github.lightning4j.kvquant.PageBudget;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * A quantized cache as bytes, those of its own snapshot, by way of a temporary file. A snapshot of
 * 2 GiB or more is refused.
 */
public final class QuantizedCacheBytes {
  private QuantizedCacheBytes() {}

  /**
   * The bytes of a cache, {@code [n]} U8.
   *
   * @throws IllegalStateException if they are too many
   */
  public static Tensor of(KvCache cache, MemoryScope scope) {
    return through(
        file -> {
          cache.save(file);
          try (FileChannel from = FileChannel.open(file, StandardOpenOption.READ)) {
            checkState(
                from.size() <= Integer.MAX_VALUE,
                "a snapshot holds less than 2 GiB of a layer's cache, got %s bytes; keep the tokens"
                    + " and read them again",
                from.size());
            Tensor bytes = scope.allocate(DType.U8, from.size());
            ByteBuffer to = bytes.pointer().asByteBuffer();
            while (to.hasRemaining() && from.read(to) >= 0) {
              continue;
            }
            return bytes;
          }
        });
  }

  /**
   * The cache of such bytes.
   *
   * @param snapshot the file they come from, for messages
   * @param length tokens it must hold
   * @param budget what its pages count against
   * @throws CheckpointException if they are broken or of another configuration
   */
  public static KvCache load(
      Path snapshot, Tensor bytes, long length, KvCacheConfig config, PageBudget budget) {
    return through(
        file -> {
          try (FileChannel to = FileChannel.open(file, StandardOpenOption.WRITE)) {
            ByteBuffer from = bytes.pointer().asByteBuffer();
            while (from.hasRemaining()) {
              to.write(from);
            }
          }
          KvCache cache;
          try {
            cache = KvCache.load(file, config, budget);
          } catch (CheckpointException e) {
            throw new CheckpointException(snapshot, "broken cache: " + e.getMessage(), e);
          }
          if (cache.length() != length) {
            String found = "expected a cache of " + length + " tokens, got " + cache.length();
            cache.close();
            throw new CheckpointException(snapshot, found);
          }
          return cache;
        });
  }

  private interface FileWork<T> {
    T with(Path file) throws IOException;
  }

  private static <T> T through(FileWork<T> work) {
    try {
      Path file = Files.createTempFile("lightning4j", ".cache");
      try {
        return work.with(file);
      } finally {
        Files.deleteIfExists(file);
      }
    } catch (IOException e) {
      throw new UncheckedIOException("temporary file: " + e.getMessage(), e);
    }
  }
}
