package io.github.lightning4j.core.safetensors;

import io.github.lightning4j.core.CheckpointException;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.internal.CoreKernels;
import java.nio.file.Path;
import java.util.Objects;

/** One mapping of a file of any size by the native library, ended when it is closed. */
final class WholeFile implements FileMapping {
  private final Memory memory;

  private WholeFile(Memory memory) {
    this.memory = memory;
  }

  static WholeFile map(Path file, long bytes) {
    long address = CoreKernels.mapFile(file.toString(), bytes);
    if (address == 0) {
      throw new CheckpointException(file, "the system refused to map " + bytes + " bytes");
    }
    return new WholeFile(
        Memory.wrapReadOnly(address, bytes, () -> CoreKernels.unmap(address, bytes)));
  }

  @Override
  public Tensor view(TensorInfo info) {
    memory.address();
    DType dtype = Objects.requireNonNull(info.dtype());
    return Tensor.view(memory, info.begin(), dtype, info.shape());
  }

  @Override
  public void release(TensorInfo info) {
    CoreKernels.releasePages(memory.address() + info.begin(), info.bytes());
  }

  @Override
  public void close() {
    memory.close();
  }
}
