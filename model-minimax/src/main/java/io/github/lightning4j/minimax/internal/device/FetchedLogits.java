package io.github.lightning4j.minimax.internal.device;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;
import org.jspecify.annotations.Nullable;

/** Logits on the host, in pinned memory that grows to the most there ever were. */
final class FetchedLogits implements AutoCloseable {
  private final CudaStream stream;
  private @Nullable Tensor fetched;

  FetchedLogits(CudaStream stream) {
    this.stream = stream;
  }

  /** Waits for logits of the GPU and brings them here, until the next call. */
  Tensor from(Tensor logits) {
    if (fetched == null || fetched.elements() < logits.elements()) {
      Tensor larger =
          Tensor.wrap(
              CudaMemory.pinned(stream.device(), logits.elements() * Float.BYTES),
              0,
              DType.F32,
              logits.elements());
      close();
      fetched = larger;
    }
    Tensor here = fetched.narrow(0, 0, logits.elements()).reshape(logits.shape());
    stream.copy(logits, here);
    stream.synchronize();
    return here;
  }

  @Override
  public void close() {
    if (fetched != null) {
      fetched.close();
      fetched = null;
    }
  }
}
