package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code cache_prefill.cu} over checked tensors. */
public final class CudaPrefill {
  private static final int THREADS = 128;

  /** Rows of a block: query heads of a kv head, token by token. */
  private static final int ROWS = 128;

  private static final int WIDE = 16;

  private CudaPrefill() {}

  private static final class Sources {
    static final KernelSource PREFILL = KernelSource.of(CudaPrefill.class, "cache_prefill.cu");
  }

  /** The source in forms that builds compile to see that it does. */
  static List<KernelSource> sources() {
    return List.of(
        source(DType.BF16, DType.BF16, 128, 8),
        source(DType.BF16, DType.F32, 64, 8),
        source(DType.F32, DType.F32, 128, 4),
        source(DType.F16, DType.F16, 32, 1));
  }

  private static KernelSource source(DType q, DType out, int dim, int vector) {
    return Sources.PREFILL
        .define("X", CudaStoreKernels.code(q))
        .define("O", CudaStoreKernels.code(out))
        .define("D", dim)
        .define("VECTOR", vector);
  }

  /** Attends with the tokens {@code q [T, heads, headDim]} of pieces of prompts. */
  public static void run(
      CudaStream stream,
      CudaStore store,
      Tensor q,
      Tensor sequences,
      Tensor starts,
      @Nullable Tensor offsets,
      float scale,
      Tensor out) {
    PageLayout layout = store.format().exact();
    CudaStore.Pages pages = store.exact();
    int dim = layout.headDim();
    long group = q.size(1) / layout.kvHeads();
    boolean aligned = CudaStoreKernels.aligned(q) && CudaStoreKernels.aligned(out);
    // No piece ends before a block does but its last, whatever the offsets are.
    long blocks = (q.size(0) * group + ROWS - 1) / ROWS + sequences.size(0);
    int shared = 2 * (ROWS + 4 * PageLayout.TOKENS) * (dim + 8);
    KernelModule.of(
            stream.device(),
            source(q.dtype(), out.dtype(), dim, aligned ? WIDE / q.dtype().bytes() : 1))
        .kernel("cache_prefill")
        .launch(
            stream,
            LaunchShape.of(blocks, layout.kvHeads(), THREADS).withShared(shared),
            new KernelArguments()
                .tensor(q)
                .i64(q.stride(0))
                .i64(q.stride(1))
                .i32(group)
                .f32(scale * CudaAttention.LOG2_E)
                .tensor(pages.pool())
                .i64(pages.pageBytes())
                .tensor(pages.table())
                .i32(pages.each())
                .tensor(sequences)
                .tensor(starts)
                .tensorOrNull(offsets)
                .i32(sequences.size(0))
                .tensor(out)
                .i64(out.stride(0))
                .i64(out.stride(1)));
  }
}
