package io.github.lightning4j.core.cuda;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.cuda.internal.Streams;

/**
 * Work that was recorded once and is run many times: one call for the CPU, however many kernels it
 * holds. It reads and writes the memory it was recorded with, which must stay open.
 */
public final class CudaGraph implements AutoCloseable {
  private final CudaDevice device;
  private final long address;
  private volatile boolean closed;

  private CudaGraph(CudaDevice device, long address) {
    this.device = device;
    this.address = address;
  }

  /**
   * Records what an action puts on a stream, without running it. The action must not wait, allocate
   * device memory, or copy from or to host memory that is not pinned; kernels must have been loaded
   * before.
   *
   * @throws CudaException if it does, or the driver refuses otherwise
   */
  public static CudaGraph capture(CudaStream stream, Runnable action) {
    CudaDevice device = stream.device();
    Streams.beginCapture(device.index(), stream.address());
    try {
      action.run();
    } catch (RuntimeException | Error e) {
      Streams.abandonCapture(device.index(), stream.address());
      throw e;
    }
    return new CudaGraph(device, Streams.endCapture(device.index(), stream.address()));
  }

  /** Puts all of it on a stream. */
  public void launch(CudaStream stream) {
    checkState(!closed, "a graph of %s is closed", device);
    Streams.launchGraph(device.index(), address, stream.address());
  }

  /**
   * Ends it; where it still runs, it runs to its end.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "a graph of %s is closed already", device);
    closed = true;
    Streams.destroyGraph(device.index(), address);
  }
}
