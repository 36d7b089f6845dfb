package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import java.nio.IntBuffer;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/** Memory that is handed out again and again and grows when more is wanted. */
public final class GrowingBuffer implements AutoCloseable {
  private @Nullable Memory memory;

  /** Nothing yet. */
  public GrowingBuffer() {}

  /** A contiguous tensor at the start of the memory; ends what was handed out before. */
  public Tensor take(DType dtype, long... shape) {
    long bytes = dtype.bytes();
    for (long size : shape) {
      bytes = Math.multiplyExact(bytes, size);
    }
    return Tensor.view(reserve(bytes), 0, dtype, shape);
  }

  /** The same with whole numbers (I32) that a writer puts there. */
  public Tensor fill(Consumer<IntBuffer> writer, long... shape) {
    Tensor tensor = take(DType.I32, shape);
    writer.accept(tensor.pointer().asByteBuffer().asIntBuffer());
    return tensor;
  }

  private Memory reserve(long bytes) {
    Memory held = memory;
    if (held != null && held.bytes() >= bytes) {
      return held;
    }
    long wanted = bytes;
    if (held != null) {
      // At least half as much again, so that slowly growing batches seldom come here.
      wanted = Math.max(bytes, held.bytes() + held.bytes() / 2);
      memory = null;
      held.close();
    }
    Memory grown = Memory.allocate(wanted);
    memory = grown;
    return grown;
  }

  /** The bytes held outside the heap. */
  public long bytes() {
    return memory == null ? 0 : memory.bytes();
  }

  @Override
  public void close() {
    if (memory != null) {
      memory.close();
      memory = null;
    }
  }
}
