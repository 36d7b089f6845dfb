package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaEvent;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;

/** How fast a GPU copies its own memory: the yardstick of what is bound by memory. */
final class CopyRate {
  private static final int COPIES = 10;

  private CopyRate() {}

  /**
   * Measures.
   *
   * @param bytes of a copy
   * @return bytes read and written a second
   */
  static double measure(CudaStream stream, long bytes) {
    try (Tensor from = tensor(stream, bytes);
        Tensor to = tensor(stream, bytes);
        CudaEvent start = CudaEvent.open(stream.device());
        CudaEvent end = CudaEvent.open(stream.device())) {
      stream.clear(from);
      stream.copy(from, to);
      stream.record(start);
      for (int i = 0; i < COPIES; i++) {
        stream.copy(from, to);
      }
      stream.record(end);
      stream.synchronize();
      return 2.0 * bytes * COPIES / (end.millisecondsSince(start) * 1e-3);
    }
  }

  private static Tensor tensor(CudaStream stream, long bytes) {
    return Tensor.wrap(CudaMemory.allocate(stream.device(), bytes), 0, DType.U8, bytes);
  }
}
