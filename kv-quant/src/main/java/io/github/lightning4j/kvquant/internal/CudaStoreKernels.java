package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code cache_append.cu} over checked tensors. */
public final class CudaStoreKernels {
  private static final int THREADS = 256;

  /** Bytes that a thread reads at once where it can. */
  private static final int WIDE = 16;

  private CudaStoreKernels() {}

  private static final class Sources {
    static final KernelSource APPEND = KernelSource.of(CudaStoreKernels.class, "cache_append.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (DType type : List.of(DType.F32, DType.BF16, DType.F16)) {
      all.add(append(type, 128, WIDE / type.bytes()));
      all.add(append(type, 32, 1));
    }
    return all;
  }

  private static KernelSource append(DType type, int dim, int vector) {
    return Sources.APPEND.define("X", code(type)).define("D", dim).define("VECTOR", vector);
  }

  static int code(DType type) {
    return type == DType.F32 ? 0 : type == DType.BF16 ? 1 : 2;
  }

  /** Stores {@code k} and {@code v [T, kvHeads, headDim]} in exact pages. */
  public static void append(
      CudaStream stream,
      CudaStore store,
      Tensor k,
      Tensor v,
      Tensor sequences,
      Tensor starts,
      @Nullable Tensor offsets) {
    PageLayout layout = store.format().exact();
    int vector = aligned(k) && aligned(v) ? WIDE / k.dtype().bytes() : 1;
    KernelModule.of(stream.device(), append(k.dtype(), layout.headDim(), vector))
        .kernel("cache_append")
        .launch(
            stream,
            LaunchShape.of(k.size(0), THREADS),
            new KernelArguments()
                .tensor(k)
                .i64(k.stride(0))
                .i64(k.stride(1))
                .tensor(v)
                .i64(v.stride(0))
                .i64(v.stride(1))
                .i32(layout.kvHeads())
                .tensor(store.exact().pool())
                .tensor(store.exact().table())
                .i32(store.exact().each())
                .tensorOrNull(null)
                .i32(0)
                .tensor(sequences)
                .tensor(starts)
                .tensorOrNull(offsets)
                .i32(sequences.size(0)));
  }

  /** Whether all rows begin at multiples of 16 bytes. */
  static boolean aligned(Tensor x) {
    return x.deviceAddress() % WIDE == 0
        && x.stride(0) * x.dtype().bytes() % WIDE == 0
        && x.stride(1) * x.dtype().bytes() % WIDE == 0;
  }
}
