package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.ArrayList;
import java.util.List;

/** Launches of {@code cache_decode.cu} and {@code cache_merge.cu} over checked tensors. */
public final class CudaAttention {
  private static final int THREADS = 128;

  /** Query heads that a block has. */
  private static final int HEADS = 8;

  /** Blocks that a multiprocessor holds at once. */
  private static final int RESIDENT = 3;

  /** Splits from which on one round of blocks is cut evenly enough. */
  private static final int FINE = 16;

  private static final int MOST_SPLITS = 64;

  /** Tokens that are worth a split; as the kernel has it. */
  private static final int LEAST_TOKENS = 256;

  private static final int ALL = 0;

  static final float LOG2_E = 1.44269504f;

  private CudaAttention() {}

  private static final class Sources {
    static final KernelSource DECODE = KernelSource.of(CudaAttention.class, "cache_decode.cu");
    static final KernelSource MERGE = KernelSource.of(CudaAttention.class, "cache_merge.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>(CudaStoreKernels.sources());
    all.addAll(CudaPrefill.sources());
    for (int dim : new int[] {32, 64, 128}) {
      all.add(exact(DType.BF16, dim));
      all.add(merge(DType.BF16, dim));
    }
    all.add(exact(DType.F32, 128));
    all.add(exact(DType.F16, 128));
    return all;
  }

  private static KernelSource exact(DType q, int dim) {
    return Sources.DECODE
        .define("X", CudaStoreKernels.code(q))
        .define("D", dim)
        .define("BITS", 16)
        .define("LLOYD_MAX", 0)
        .define("SCALE", 0)
        .define("ZERO", 0)
        .define("ROTATE", 0)
        .define("HALF", 0);
  }

  private static KernelSource merge(DType out, int dim) {
    return Sources.MERGE.define("O", CudaStoreKernels.code(out)).define("D", dim);
  }

  /** Blocks for the query heads of a kv head. */
  private static long eights(long group) {
    return (group + HEADS - 1) / HEADS;
  }

  /**
   * Into how many splits the positions of a row are cut at most: few rows fill the GPU once, many
   * some times over, so that uneven lengths even out.
   */
  private static int splits(CudaDevice device, CudaStore store, long rows, long heads) {
    int kvHeads = store.format().exact().kvHeads();
    long units = rows * kvHeads * eights(heads / kvHeads);
    long slots = (long) RESIDENT * device.multiprocessors();
    long once = slots / Math.max(1, units);
    long splits = Math.max(1, once >= FINE ? once : 4 * slots / Math.max(1, units));
    long tokens = store.exact().each() * PageLayout.TOKENS;
    long useful = (tokens + LEAST_TOKENS - 1) / LEAST_TOKENS;
    return (int) Math.min(splits, Math.min(useful, MOST_SPLITS));
  }

  /** Floats that the splits of so many rows take. */
  public static long scratch(CudaDevice device, CudaStore store, long rows, long heads) {
    int dim = store.format().exact().headDim();
    return rows * heads * splits(device, store, rows, heads) * (dim + 2);
  }

  /** Attends with {@code q [B, heads, headDim]} over positions up to that of each row. */
  public static void decode(
      CudaStream stream,
      CudaStore store,
      Tensor q,
      Tensor sequences,
      Tensor positions,
      float scale,
      Tensor scratch,
      Tensor out) {
    int splits = splits(stream.device(), store, q.size(0), q.size(1));
    long heads = q.size(1);
    int dim = store.format().exact().headDim();
    Tensor sums = scratch.narrow(0, 0, q.size(0) * heads * splits * dim);
    Tensor stats = scratch.narrow(0, sums.size(0), q.size(0) * heads * splits * 2);
    int kvHeads = store.format().exact().kvHeads();
    long group = heads / kvHeads;
    CudaStore.Pages pages = store.exact();
    KernelModule.of(stream.device(), exact(q.dtype(), dim))
        .kernel("cache_decode")
        .launch(
            stream,
            new LaunchShape(splits, kvHeads * eights(group), q.size(0), THREADS, 0),
            new KernelArguments()
                .tensor(q)
                .i64(q.stride(0))
                .i64(q.stride(1))
                .i32(group)
                .f32(scale * LOG2_E)
                .tensor(pages.pool())
                .i64(pages.pageBytes())
                .tensor(pages.table())
                .i32(pages.each())
                .tensor(sequences)
                .tensor(positions)
                .i32(ALL)
                .i32(0)
                .i32(1)
                .tensorOrNull(null)
                .tensorOrNull(null)
                .tensor(sums)
                .tensor(stats)
                .i32(0)
                .i32(splits));
    KernelModule.of(stream.device(), merge(out.dtype(), dim))
        .kernel("cache_merge")
        .launch(
            stream,
            LaunchShape.of(heads, q.size(0), dim),
            new KernelArguments()
                .tensor(sums)
                .tensor(stats)
                .i32(splits)
                .tensor(out)
                .i64(out.stride(0))
                .i64(out.stride(1)));
  }
}
