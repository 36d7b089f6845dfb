package io.github.lightning4j.core.cuda;

import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.cuda.internal.Streams;

/** A mark on a stream: others can wait for it, and the time between two of them can be told. */
public final class CudaEvent implements AutoCloseable {
  private final CudaDevice device;
  private final long address;
  private volatile boolean closed;

  private CudaEvent(CudaDevice device, long address) {
    this.device = device;
    this.address = address;
  }

  /** A new event, which stands for nothing yet; see {@link CudaStream#record}. */
  public static CudaEvent open(CudaDevice device) {
    return new CudaEvent(device, Streams.createEvent(device.index()));
  }

  /**
   * The {@code CUevent}.
   *
   * @throws IllegalStateException if closed
   */
  public long address() {
    checkState(!closed, "an event of %s is closed", device);
    return address;
  }

  /** Whether what it stands for has ended. */
  public boolean isDone() {
    return Streams.isEventDone(device.index(), address());
  }

  /** Waits until what it stands for has ended. */
  public void synchronize() {
    Streams.synchronizeEvent(device.index(), address());
  }

  /**
   * Milliseconds from an event to this one, as the GPU tells the time.
   *
   * @param start an event that has ended, as this one has
   * @throws CudaException if one of them was not recorded or has not ended
   */
  public float millisecondsSince(CudaEvent start) {
    return Streams.elapsed(device.index(), start.address(), address());
  }

  /**
   * Ends it.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "an event of %s is closed already", device);
    closed = true;
    Streams.destroyEvent(device.index(), address);
  }
}
