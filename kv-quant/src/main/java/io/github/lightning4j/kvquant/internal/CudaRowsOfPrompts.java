package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;

/** Launches of {@code greatest.cu} over checked tensors. */
public final class CudaRowsOfPrompts {
  private static final int THREADS = 256;

  private CudaRowsOfPrompts() {}

  private static final class Sources {
    static final KernelSource GREATEST = KernelSource.of(CudaRowsOfPrompts.class, "greatest.cu");
  }

  /** The source in forms that builds compile to see that it does. */
  static List<KernelSource> sources() {
    return List.of(source(DType.F32), source(DType.BF16), source(DType.F16));
  }

  private static KernelSource source(DType type) {
    return Sources.GREATEST.define("X", CudaStoreKernels.code(type));
  }

  /** The greatest magnitudes of each row of {@code x [T, D]}, {@code out [T, k]}. */
  public static void greatest(CudaStream stream, Tensor x, Tensor out) {
    KernelModule.of(stream.device(), source(x.dtype()))
        .kernel("row_greatest")
        .launch(
            stream,
            LaunchShape.of(x.size(0), THREADS),
            new KernelArguments()
                .tensor(x)
                .i64(x.stride(0))
                .i32(x.size(1))
                .i32(out.size(1))
                .tensor(out));
  }
}
