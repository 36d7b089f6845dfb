package io.github.lightning4j.minimax.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.util.Arrays;

/**
 * One piece of memory for all weights that are made at load: it is there or it is not before the
 * first of them is read, and large enough for large pages, without which a decode step waits for
 * page tables.
 */
final class WeightArena implements AutoCloseable {
  private final Memory memory;
  private long used;

  /**
   * Takes the memory.
   *
   * @throws io.github.lightning4j.core.OutOfNativeMemoryException if the system refuses
   */
  WeightArena(long bytes) {
    memory = Memory.allocate(bytes);
  }

  /** What a tensor takes of an arena. */
  static long bytes(DType dtype, long... shape) {
    long bytes = Arrays.stream(shape).reduce(dtype.bytes(), Math::multiplyExact);
    return (bytes + Memory.ALIGNMENT - 1) / Memory.ALIGNMENT * Memory.ALIGNMENT;
  }

  /** The next piece, all zero. */
  Tensor take(DType dtype, long... shape) {
    Tensor tensor = Tensor.view(memory, used, dtype, shape);
    used += bytes(dtype, shape);
    return tensor;
  }

  @Override
  public void close() {
    memory.close();
  }
}
