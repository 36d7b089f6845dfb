package io.github.lightning4j.core.testkit;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaStream;

/** The first GPU with a stream, and tensors on it that live until this is closed. */
public final class Gpu implements AutoCloseable {
  private final MemoryScope scope = new MemoryScope();
  private final CudaDevice device = CudaDevice.of(0);
  private final CudaStream stream = CudaStream.open(device);

  /** The device. */
  public CudaDevice device() {
    return device;
  }

  /** The stream that copies go to. */
  public CudaStream stream() {
    return stream;
  }

  /** A tensor on the GPU, not zeroed. */
  public Tensor allocate(DType dtype, long... shape) {
    long bytes = dtype.bytes();
    for (long size : shape) {
      bytes *= size;
    }
    return scope.add(Tensor.wrap(CudaMemory.allocate(device, bytes), 0, dtype, shape));
  }

  /** A copy of a contiguous tensor on the GPU; closes the original, if it may be closed. */
  public Tensor up(Tensor host) {
    Tensor there = allocate(host.dtype(), host.shape());
    stream.copy(host, there);
    stream.synchronize();
    host.close();
    return there;
  }

  /** Standard normal values on the GPU. */
  public Tensor normal(long seed, DType dtype, long... shape) {
    return up(Cases.normal(seed, dtype, shape));
  }

  /** Waits for the stream and copies a tensor back, whatever its strides. */
  public Tensor down(Tensor there) {
    Tensor host = scope.add(Tensor.allocate(there.dtype(), there.shape()));
    if (there.isContiguous()) {
      stream.copy(there, host);
    } else {
      for (long i = 0; i < there.size(0); i++) {
        Tensor part = down(there.select(0, i));
        host.select(0, i).copyFrom(part);
      }
    }
    stream.synchronize();
    return host;
  }

  /** The values of a tensor on the GPU, after all work on the stream. */
  public double[] doubles(Tensor there) {
    return down(there).toDoubles();
  }

  /** Closes the tensors and the stream. */
  @Override
  public void close() {
    stream.synchronize();
    scope.close();
    stream.close();
  }
}
