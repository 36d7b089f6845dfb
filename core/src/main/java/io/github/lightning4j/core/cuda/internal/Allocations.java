package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.Memory;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.Pointer;

/** Memory of devices, and memory of the host that devices can copy by themselves. */
public final class Allocations {
  private Allocations() {}

  /** Allocates on a device, waiting for nothing on its streams. */
  public static long allocate(int device, long bytes) {
    Driver.enter(device);
    long[] address = {0};
    Driver.checkMemory(
        cudart.cuMemAlloc(address, bytes), "memory of cuda:" + device, bytes, device);
    return address[0];
  }

  /** Frees; the driver waits for work on the device. */
  public static void free(int device, long address) {
    if (Driver.enterToRelease(device)) {
      Driver.release(cudart.cuMemFree(address), "cuMemFree on cuda:" + device);
    }
  }

  /** Allocates from the device's pool, in the order of a stream. */
  public static long allocate(int device, long stream, long bytes) {
    Driver.enter(device);
    long[] address = {0};
    Driver.checkMemory(
        cudart.cuMemAllocAsync(address, bytes, Streams.of(stream)),
        "pooled memory of cuda:" + device,
        bytes,
        device);
    return address[0];
  }

  /** Gives back to the pool, in the order of a stream. */
  public static void free(int device, long stream, long address) {
    if (Driver.enterToRelease(device)) {
      Driver.release(
          cudart.cuMemFreeAsync(address, Streams.of(stream)), "cuMemFreeAsync on cuda:" + device);
    }
  }

  /** Allocates memory of the host that all devices can read and write. */
  public static long allocatePinned(int device, long bytes) {
    Driver.enter(device);
    try (Pointer address = new Pointer()) {
      Driver.checkMemory(
          cudart.cuMemHostAlloc(address, bytes, cudart.CU_MEMHOSTALLOC_PORTABLE),
          "pinned memory",
          bytes,
          device);
      return address.address();
    }
  }

  /** Frees memory of the host. */
  public static void freePinned(int device, long address, long bytes) {
    if (Driver.enterToRelease(device)) {
      Driver.release(cudart.cuMemFreeHost(Memory.pointer(address, bytes)), "cuMemFreeHost");
    }
  }

  /** Copies between any two memories, in the order of a stream. */
  public static void copy(int device, long stream, long from, long to, long bytes) {
    Driver.enter(device);
    Driver.check(
        cudart.cuMemcpyAsync(to, from, bytes, Streams.of(stream)),
        "a copy of " + bytes + " bytes on cuda:" + device);
  }

  /** Sets every byte, in the order of a stream. */
  public static void fill(int device, long stream, long to, byte value, long bytes) {
    Driver.enter(device);
    Driver.check(
        cudart.cuMemsetD8Async(to, value, bytes, Streams.of(stream)),
        "setting " + bytes + " bytes on cuda:" + device);
  }
}
