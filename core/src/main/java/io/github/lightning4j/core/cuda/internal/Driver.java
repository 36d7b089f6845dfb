package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.Cuda;
import io.github.lightning4j.core.cuda.CudaDeviceLostException;
import io.github.lightning4j.core.cuda.CudaException;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.bytedeco.cuda.cudart.CUctx_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;

/** Contexts, facts about devices, and what the driver's error codes mean. */
public final class Driver {
  /** Codes after which every call on the context fails. */
  private static final Set<Integer> LOST =
      Set.of(
          cudart.CUDA_ERROR_DEINITIALIZED,
          cudart.CUDA_ERROR_DEVICE_UNAVAILABLE,
          cudart.CUDA_ERROR_ECC_UNCORRECTABLE,
          cudart.CUDA_ERROR_NVLINK_UNCORRECTABLE,
          cudart.CUDA_ERROR_CONTAINED,
          cudart.CUDA_ERROR_ILLEGAL_ADDRESS,
          cudart.CUDA_ERROR_LAUNCH_TIMEOUT,
          cudart.CUDA_ERROR_CONTEXT_IS_DESTROYED,
          cudart.CUDA_ERROR_ASSERT,
          cudart.CUDA_ERROR_HARDWARE_STACK_ERROR,
          cudart.CUDA_ERROR_ILLEGAL_INSTRUCTION,
          cudart.CUDA_ERROR_MISALIGNED_ADDRESS,
          cudart.CUDA_ERROR_INVALID_ADDRESS_SPACE,
          cudart.CUDA_ERROR_INVALID_PC,
          cudart.CUDA_ERROR_LAUNCH_FAILED,
          cudart.CUDA_ERROR_TENSOR_MEMORY_LEAK,
          cudart.CUDA_ERROR_EXTERNAL_DEVICE,
          cudart.CUDA_ERROR_UNKNOWN);

  private static final ConcurrentHashMap<Integer, CUctx_st> CONTEXTS = new ConcurrentHashMap<>();

  private Driver() {}

  /** How many devices there are; throws with the reason if CUDA is not available. */
  public static int deviceCount() {
    Cuda.availability().ensure("CUDA");
    check(cudart.cuInit(0), "cuInit");
    int[] count = {0};
    check(cudart.cuDeviceGetCount(count), "cuDeviceGetCount");
    return count[0];
  }

  /** A number that the driver tells of a device, one of {@code CU_DEVICE_ATTRIBUTE_}. */
  public static int attribute(int device, int attribute) {
    int[] value = {0};
    check(
        cudart.cuDeviceGetAttribute(value, attribute, handle(device)),
        "attribute " + attribute + " of cuda:" + device);
    return value[0];
  }

  /** The name of a device. */
  public static String name(int device) {
    byte[] name = new byte[256];
    check(cudart.cuDeviceGetName(name, name.length, handle(device)), "cuDeviceGetName");
    int end = 0;
    while (name[end] != 0) {
      end++;
    }
    return new String(name, 0, end, StandardCharsets.UTF_8);
  }

  /** Free and total bytes of a device. */
  public static long[] memory(int device) {
    enter(device);
    try (SizeTPointer free = new SizeTPointer(1);
        SizeTPointer total = new SizeTPointer(1)) {
      check(cudart.cuMemGetInfo(free, total), "cuMemGetInfo of cuda:" + device);
      return new long[] {free.get(), total.get()};
    }
  }

  /** Makes a device's primary context that of this thread. */
  public static void enter(int device) {
    CUctx_st context = CONTEXTS.computeIfAbsent(device, Driver::primaryContext);
    check(cudart.cuCtxSetCurrent(context), "cuCtxSetCurrent of cuda:" + device);
  }

  private static CUctx_st primaryContext(int device) {
    CUctx_st context = new CUctx_st();
    check(
        cudart.cuDevicePrimaryCtxRetain(context, handle(device)), "the context of cuda:" + device);
    return context;
  }

  private static int handle(int device) {
    int[] handle = {0};
    check(cudart.cuDeviceGet(handle, device), "cuDeviceGet of cuda:" + device);
    return handle[0];
  }

  /** Throws what an error code means. */
  public static void check(int status, String what) {
    if (status != cudart.CUDA_SUCCESS) {
      throw of(status, what);
    }
  }

  /** As {@link #check}, for calls that want memory. */
  static void checkMemory(int status, String what, long bytes, int device) {
    if (status == cudart.CUDA_ERROR_OUT_OF_MEMORY) {
      long[] memory = memory(device);
      throw new CudaOutOfMemoryException(status, what, bytes, memory[0], memory[1]);
    }
    check(status, what);
  }

  /** As {@link #check}, for calls that give something back: quiet where all is lost anyway. */
  static void release(int status, String what) {
    if (!LOST.contains(status)) {
      check(status, what);
    }
  }

  /** Enters a context to give something back there; false where it is lost, and with it that. */
  static boolean enterToRelease(int device) {
    try {
      enter(device);
      return true;
    } catch (CudaDeviceLostException e) {
      return false;
    }
  }

  private static CudaException of(int status, String what) {
    String says = what + " failed: " + describe(status);
    return LOST.contains(status)
        ? new CudaDeviceLostException(
            status, says + "; this process cannot use the GPU any more: close all, start it again")
        : new CudaException(status, says);
  }

  /** The name of a code and what the driver says to it. */
  public static String describe(int status) {
    try (PointerPointer<BytePointer> name = new PointerPointer<>(1);
        PointerPointer<BytePointer> text = new PointerPointer<>(1)) {
      boolean known =
          cudart.cuGetErrorName(status, name) == cudart.CUDA_SUCCESS
              && cudart.cuGetErrorString(status, text) == cudart.CUDA_SUCCESS;
      return known
          ? name.get(BytePointer.class).getString()
              + ", "
              + text.get(BytePointer.class).getString()
              + " ("
              + status
              + ")"
          : "error " + status;
    }
  }
}
