package io.github.lightning4j.core.cuda;

import static com.google.common.base.Preconditions.checkArgument;

import io.github.lightning4j.core.Device;
import io.github.lightning4j.core.cuda.internal.Driver;

/**
 * An NVIDIA GPU.
 *
 * @param index its ordinal, as in {@code cuda:0}
 * @param name what the driver calls it
 * @param major the first number of its compute capability
 * @param minor the second
 * @param multiprocessors how many it has
 * @param sharedMemoryPerBlock bytes of shared memory that a block may ask for
 */
public record CudaDevice(
    int index, String name, int major, int minor, int multiprocessors, int sharedMemoryPerBlock) {
  private static final int MULTIPROCESSORS = 16;
  private static final int MAJOR = 75;
  private static final int MINOR = 76;
  private static final int SHARED_MEMORY_PER_BLOCK_OPTIN = 97;

  /**
   * Looks a device up.
   *
   * @param index its ordinal
   * @throws IllegalStateException if CUDA is not available, with the reason and the way out
   * @throws IllegalArgumentException if there is no such device
   */
  public static CudaDevice of(int index) {
    int count = Driver.deviceCount();
    checkArgument(
        index >= 0 && index < count,
        "device: expected one of the %s CUDA device(s) cuda:0 to cuda:%s, got cuda:%s",
        count,
        count - 1,
        index);
    return new CudaDevice(
        index,
        Driver.name(index),
        Driver.attribute(index, MAJOR),
        Driver.attribute(index, MINOR),
        Driver.attribute(index, MULTIPROCESSORS),
        Driver.attribute(index, SHARED_MEMORY_PER_BLOCK_OPTIN));
  }

  /** How many devices there are; throws as {@link #of} does. */
  public static int count() {
    return Driver.deviceCount();
  }

  /** The device as tensors name it. */
  public Device device() {
    return Device.cuda(index);
  }

  /**
   * Makes it the device of the calling thread, for other libraries that ask CUDA which one that is.
   */
  public void use() {
    Driver.enter(index);
  }

  /**
   * What kernels are compiled for: {@code sm_80}, {@code sm_90a}, ... Hopper's features are only in
   * the form for this very generation.
   */
  public String architecture() {
    return "sm_" + major + minor + (major == 9 ? "a" : "");
  }

  /** Bytes of the device's memory that are free now, on all processes' account. */
  public long freeMemory() {
    return Driver.memory(index)[0];
  }

  /** Bytes of the device's memory. */
  public long totalMemory() {
    return Driver.memory(index)[1];
  }

  @Override
  public String toString() {
    return "cuda:" + index + " (" + name + ", " + architecture() + ")";
  }
}
