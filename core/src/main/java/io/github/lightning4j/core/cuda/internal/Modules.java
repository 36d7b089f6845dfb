package io.github.lightning4j.core.cuda.internal;

import io.github.lightning4j.core.Memory;
import java.util.Arrays;
import org.bytedeco.cuda.cudart.CUfunc_st;
import org.bytedeco.cuda.cudart.CUmod_st;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.LongPointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;

/** Machine code on devices, and launches of it. */
public final class Modules {
  /** The most arguments of a launch. */
  public static final int MOST_ARGUMENTS = 64;

  /** What every kernel may have without asking. */
  private static final int SHARED_BY_DEFAULT = 48 << 10;

  private static final ThreadLocal<Buffer> BUFFERS = ThreadLocal.withInitial(Buffer::new);

  private Modules() {}

  /** Loads machine code. */
  public static long load(int device, String what, byte[] image) {
    Driver.enter(device);
    CUmod_st module = new CUmod_st();
    try (BytePointer bytes = new BytePointer(image)) {
      Driver.check(cudart.cuModuleLoadData(module, bytes), "loading " + what);
    }
    return module.address();
  }

  /** A function by its name. */
  public static long function(int device, long module, String name) {
    Driver.enter(device);
    CUfunc_st function = new CUfunc_st();
    CUmod_st of = new CUmod_st(Memory.pointer(module, 0));
    Driver.check(cudart.cuModuleGetFunction(function, of, name), "kernel " + name);
    return function.address();
  }

  /** How many bytes each parameter of a function has. */
  public static int[] parameterSizes(int device, long function, int most) {
    Driver.enter(device);
    int[] sizes = new int[most];
    try (SizeTPointer offset = new SizeTPointer(1);
        SizeTPointer size = new SizeTPointer(1)) {
      for (int i = 0; i < most; i++) {
        int status = cudart.cuFuncGetParamInfo(of(function), i, offset, size);
        if (status == cudart.CUDA_ERROR_INVALID_VALUE) {
          return Arrays.copyOf(sizes, i);
        }
        Driver.check(status, "parameter " + i);
        sizes[i] = (int) size.get();
      }
    }
    return sizes;
  }

  /** Lets blocks of a function ask for more shared memory than they may by default. */
  public static void allowShared(int device, long function, String what, int bytes) {
    Driver.enter(device);
    Driver.check(
        cudart.cuFuncSetAttribute(
            of(function), cudart.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes),
        bytes + " bytes of shared memory for " + what);
  }

  /** Puts a launch on a stream; arguments are copied before this returns. */
  public static void launch(
      int device,
      long function,
      String what,
      int gridX,
      int gridY,
      int gridZ,
      int threads,
      int sharedBytes,
      long stream,
      long[] arguments) {
    Driver.enter(device);
    if (sharedBytes > SHARED_BY_DEFAULT) {
      allowShared(device, function, what, sharedBytes);
    }
    Driver.check(
        cudart.cuLaunchKernel(
            of(function),
            gridX,
            gridY,
            gridZ,
            threads,
            1,
            1,
            sharedBytes,
            Streams.of(stream),
            BUFFERS.get().of(arguments),
            (PointerPointer<?>) null),
        "launching " + what);
  }

  private static CUfunc_st of(long function) {
    return new CUfunc_st(Memory.pointer(function, 0));
  }

  /** Values and the pointers to them, in one piece of memory a thread. */
  private static final class Buffer {
    private final LongPointer values = new LongPointer(MOST_ARGUMENTS);
    private final PointerPointer<?> pointers = new PointerPointer<>(MOST_ARGUMENTS);

    Buffer() {
      for (int i = 0; i < MOST_ARGUMENTS; i++) {
        pointers.put(i, Memory.pointer(values.address() + (long) i * Long.BYTES, Long.BYTES));
      }
    }

    PointerPointer<?> of(long[] arguments) {
      values.put(arguments, 0, arguments.length);
      return pointers;
    }
  }
}
