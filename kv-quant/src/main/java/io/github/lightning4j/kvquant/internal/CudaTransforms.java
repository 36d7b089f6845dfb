package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;

/** Launches of {@code hadamard.cu} over checked tensors. */
public final class CudaTransforms {
  private static final int THREADS = 256;
  private static final int WARP = 32;

  private CudaTransforms() {}

  private static final class Sources {
    static final KernelSource HADAMARD = KernelSource.of(CudaTransforms.class, "hadamard.cu");
  }

  /** The source in forms that builds compile to see that it does. */
  static List<KernelSource> sources() {
    return List.of(source(DType.F32, 256, 4), source(DType.BF16, 128, 4), source(DType.F16, 32, 1));
  }

  private static KernelSource source(DType type, int n, int vector) {
    return Sources.HADAMARD
        .define("X", CudaStoreKernels.code(type))
        .define("D", n)
        .define("VECTOR", vector);
  }

  /** Transforms blocks of n channels of {@code x [T, width]}. */
  public static void hadamard(CudaStream stream, Tensor x, int n, Tensor out) {
    long blocks = x.size(1) / n;
    int vector = Math.min(n / WARP, 16 / x.dtype().bytes());
    for (Tensor tensor : List.of(x, out)) {
      long bytes = (long) vector * x.dtype().bytes();
      boolean aligned =
          tensor.deviceAddress() % bytes == 0 && tensor.stride(0) * x.dtype().bytes() % bytes == 0;
      vector = aligned ? vector : 1;
    }
    long warps = x.size(0) * blocks;
    KernelModule.of(stream.device(), source(x.dtype(), n, vector))
        .kernel("hadamard_rows")
        .launch(
            stream,
            LaunchShape.of((warps * WARP + THREADS - 1) / THREADS, THREADS),
            new KernelArguments()
                .tensor(x)
                .i64(x.stride(0))
                .tensor(out)
                .i64(out.stride(0))
                .i64(x.size(0))
                .i32(blocks));
  }
}
