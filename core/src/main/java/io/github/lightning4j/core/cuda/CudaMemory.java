package io.github.lightning4j.core.cuda;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.cuda.internal.Allocations;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Memory of GPUs. None of it is zeroed. Closing twice, and using it after closing, give {@link
 * IllegalStateException}; memory that is never closed is reported as {@link Memory} says.
 */
public final class CudaMemory {
  private static final AtomicLong LIVE = new AtomicLong();

  private CudaMemory() {}

  /**
   * Allocates on a device, for what lives long: weights and caches. Closing waits, in the driver,
   * for work on the device.
   *
   * @throws CudaOutOfMemoryException with what was asked for and what is free
   */
  public static Memory allocate(CudaDevice device, long bytes) {
    checkBytes(bytes);
    int index = device.index();
    long address = Allocations.allocate(index, Math.max(bytes, 1));
    return counted(address, bytes, device.device(), () -> Allocations.free(index, address));
  }

  /**
   * Allocates from the device's pool, for what lives shortly: the memory can be used by what comes
   * on the stream after this, and closing gives it back in the order of the stream. Neither waits.
   * If the stream is closed first, closing waits as above.
   *
   * @throws CudaOutOfMemoryException with what was asked for and what is free
   */
  public static Memory allocate(CudaStream stream, long bytes) {
    checkBytes(bytes);
    int index = stream.device().index();
    long address = Allocations.allocate(index, stream.address(), Math.max(bytes, 1));
    return counted(
        address,
        bytes,
        stream.device().device(),
        () -> {
          if (stream.isClosed()) {
            Allocations.free(index, address);
          } else {
            Allocations.free(index, stream.address(), address);
          }
        });
  }

  /**
   * Allocates memory of the host that GPUs can copy by themselves, so that copies from and to it
   * wait for nothing. It is scarce: the system cannot page it out. For the CPU it is memory like
   * any other.
   *
   * @param device any device
   * @throws CudaOutOfMemoryException if the system refuses
   */
  public static Memory pinned(CudaDevice device, long bytes) {
    checkBytes(bytes);
    int index = device.index();
    long address = Allocations.allocatePinned(index, Math.max(bytes, 1));
    return counted(address, bytes, Device.CPU, () -> Allocations.freePinned(index, address, bytes));
  }

  /** Bytes allocated here, on devices and pinned, and not yet closed. */
  public static long liveBytes() {
    return LIVE.get();
  }

  private static Memory counted(long address, long bytes, Device device, Runnable free) {
    LIVE.addAndGet(bytes);
    return Memory.adopt(
        address,
        bytes,
        device,
        () -> {
          LIVE.addAndGet(-bytes);
          free.run();
        });
  }

  private static void checkBytes(long bytes) {
    checkArgument(bytes >= 0, "bytes: expected >= 0, got %s", bytes);
  }
}
