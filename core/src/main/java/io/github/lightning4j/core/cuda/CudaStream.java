package io.github.lightning4j.core.cuda;

import static com.google.common.base.Preconditions.checkArgument;
import static com.google.common.base.Preconditions.checkState;

import io.github.lightning4j.core.Checks;
import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.internal.Allocations;
import io.github.lightning4j.core.cuda.internal.Streams;

/**
 * A queue of work for a GPU. Calls put work on it and return; what is on it runs in order, beside
 * other streams. Tensors that work reads or writes must stay open until it has ended.
 */
public final class CudaStream implements AutoCloseable {
  private final CudaDevice device;
  private final long address;
  private final boolean owner;
  private volatile boolean closed;

  private CudaStream(CudaDevice device, long address, boolean owner) {
    this.device = device;
    this.address = address;
    this.owner = owner;
  }

  /** A new stream, which does not wait for the default stream. */
  public static CudaStream open(CudaDevice device) {
    return new CudaStream(device, Streams.create(device.index()), true);
  }

  /**
   * A stream that somebody else owns; closing only ends its use here.
   *
   * @param device the device it is on
   * @param address its {@code CUstream} or {@code cudaStream_t}; 0 for the default stream
   */
  public static CudaStream wrap(CudaDevice device, long address) {
    return new CudaStream(device, address, false);
  }

  /** The device it is on. */
  public CudaDevice device() {
    return device;
  }

  /**
   * The {@code CUstream}.
   *
   * @throws IllegalStateException if closed
   */
  public long address() {
    checkState(!closed, "a stream of %s is closed", device);
    return address;
  }

  /** Whether {@link #close} was called. */
  public boolean isClosed() {
    return closed;
  }

  /**
   * Copies elements, between devices and the host in any direction. With host memory that is not
   * {@linkplain CudaMemory#pinned pinned} the driver itself may wait until the bytes have moved;
   * such copies cannot be part of a graph.
   *
   * @param from contiguous
   * @param to contiguous, of the same type and shape
   * @throws IllegalArgumentException if types or shapes do not fit, or {@code to} is read-only
   * @throws CudaException if the driver refuses
   */
  public void copy(Tensor from, Tensor to) {
    Checks.dtype("to", to, from.dtype());
    Checks.shape("to", to, from.shape());
    Checks.contiguous("from", from);
    Checks.contiguous("to", to);
    Checks.writable("to", to);
    long bytes = from.elements() * from.dtype().bytes();
    if (bytes > 0) {
      Allocations.copy(device.index(), address(), any(from), any(to), bytes);
    }
  }

  private static long any(Tensor tensor) {
    return tensor.device().kind() == Device.Kind.CPU ? tensor.address() : tensor.deviceAddress();
  }

  /**
   * Sets every byte of a tensor to zero.
   *
   * @param out contiguous, on this device
   * @throws IllegalArgumentException if it is elsewhere
   * @throws CudaException if the driver refuses
   */
  public void clear(Tensor out) {
    Checks.contiguous("out", out);
    checkArgument(
        out.device().equals(device.device()),
        "out: expected a tensor on %s, got %s",
        device.device(),
        out);
    long bytes = out.elements() * out.dtype().bytes();
    if (bytes > 0) {
      Allocations.fill(device.index(), address(), out.deviceAddress(), (byte) 0, bytes);
    }
  }

  /**
   * Checks that work on this stream can reach a tensor.
   *
   * @throws IllegalArgumentException naming the tensor and this device if it lives elsewhere
   */
  public void check(String name, Tensor tensor) {
    checkArgument(
        tensor.device().equals(device.device()),
        "%s: expected a tensor on %s, as the stream is, got %s",
        name,
        device.device(),
        tensor);
  }

  /** Lets an event stand for all that is on this stream so far. */
  public void record(CudaEvent event) {
    Streams.record(device.index(), event.address(), address());
  }

  /** Lets what comes on this stream wait, on the GPU, for an event of any stream. */
  public void waitFor(CudaEvent event) {
    Streams.await(device.index(), address(), event.address());
  }

  /** Whether all that is on this stream has ended. */
  public boolean isDone() {
    return Streams.isDone(device.index(), address());
  }

  /**
   * Waits until all that is on this stream has ended.
   *
   * @throws CudaDeviceLostException if a kernel went wrong
   */
  public void synchronize() {
    Streams.synchronize(device.index(), address());
  }

  /**
   * Ends the stream; what is on it still runs.
   *
   * @throws IllegalStateException if closed already
   */
  @Override
  public void close() {
    checkState(!closed, "a stream of %s is closed already", device);
    closed = true;
    if (owner) {
      Streams.destroy(device.index(), address);
    }
  }

  @Override
  public String toString() {
    return "stream 0x" + Long.toHexString(address) + " of " + device;
  }
}
