package io.github.lightning4j.kvquant.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.kvquant.CudaKvRows;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code cache_prefill.cu} over checked tensors. */
public final class CudaPrefill {
  private static final int THREADS = 128;

  /** Rows of a block: query heads of a kv head, token by token. */
  private static final int ROWS = 128;

  /** Blocks that a multiprocessor holds at once. */
  private static final int RESIDENT = 2;

  private static final int MOST_SPLITS = 32;

  /** Pages that are worth a split; as the kernel has it. */
  private static final int LEAST_PAGES = 4;

  private static final int WIDE = 16;

  private CudaPrefill() {}

  private static final class Sources {
    static final KernelSource PREFILL = KernelSource.of(CudaPrefill.class, "cache_prefill.cu");
  }

  /** The source in forms that builds compile to see that it does. */
  static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    all.add(source(DType.BF16, DType.BF16, CudaCodec.EXACT, 128, 8));
    all.add(source(DType.BF16, DType.F32, CudaCodec.EXACT, 64, 8));
    all.add(source(DType.F32, DType.F32, CudaCodec.EXACT, 128, 4));
    all.add(source(DType.F16, DType.F16, CudaCodec.EXACT, 32, 1));
    for (CudaCodec codec : CudaStoreKernels.CODECS) {
      all.add(source(DType.BF16, DType.BF16, codec, 128, 8));
    }
    all.add(source(DType.F32, DType.F32, CudaStoreKernels.CODECS.get(1), 32, 1));
    return all;
  }

  private static KernelSource source(DType q, DType out, CudaCodec codec, int dim, int vector) {
    return codec
        .define(Sources.PREFILL, dim)
        .define("X", CudaStoreKernels.code(q))
        .define("O", CudaStoreKernels.code(out))
        .define("VECTOR", vector);
  }

  private static long blocks(long tokens, long group) {
    return (tokens * group + ROWS - 1) / ROWS;
  }

  /** Into how many splits the pages of a block are cut: as many as a GPU without them has room. */
  private static int splits(CudaDevice device, CudaStore store, long tokens, long heads) {
    int kvHeads = store.format().exact().kvHeads();
    long slots = (long) RESIDENT * device.multiprocessors();
    long splits = slots / Math.max(1, blocks(tokens, heads / kvHeads) * kvHeads);
    long useful = (store.exact().each() + LEAST_PAGES - 1) / LEAST_PAGES;
    return (int) Math.max(1, Math.min(splits, Math.min(useful, MOST_SPLITS)));
  }

  /** Floats that the splits of a prompt behind quantized tokens take. */
  public static long scratch(CudaDevice device, CudaStore store, long tokens, long heads) {
    int splits = splits(device, store, tokens, heads);
    return splits == 1 ? 0 : tokens * heads * splits * (store.format().exact().headDim() + 2);
  }

  /**
   * Attends with the tokens {@code q [T, heads, headDim]} of pieces of prompts.
   *
   * @param agedLengths of each piece, and
   * @param scratch for splits; both null where nothing is read as quantized
   */
  public static void run(
      CudaStream stream,
      CudaStore store,
      Tensor q,
      CudaKvRows rows,
      @Nullable Tensor agedLengths,
      float scale,
      @Nullable Tensor scratch,
      Tensor out) {
    CudaStore.Packed packed = store.packed();
    boolean aged = agedLengths != null && packed != null;
    CacheFormat format = store.format();
    int dim = format.exact().headDim();
    int kvHeads = format.exact().kvHeads();
    long group = q.size(1) / kvHeads;
    boolean aligned = CudaStoreKernels.aligned(q) && CudaStoreKernels.aligned(out);
    int splits = scratch == null ? 1 : splits(stream.device(), store, q.size(0), q.size(1));
    long sums = q.elements() * splits;
    Tensor parts = splits == 1 ? null : scratch.narrow(0, 0, sums);
    Tensor stats = splits == 1 ? null : scratch.narrow(0, sums, q.size(0) * q.size(1) * splits * 2);
    // No piece ends before a block does but its last, whatever the offsets are.
    long blocks = blocks(q.size(0), group) + rows.count();
    int shared =
        2 * (ROWS + 4 * PageLayout.TOKENS) * (dim + 8) + Float.BYTES * (dim + PageLayout.TOKENS);
    CudaCodec codec = aged ? packed.codec() : store.exactCodec();
    KernelModule.of(
            stream.device(),
            source(q.dtype(), out.dtype(), codec, dim, aligned ? WIDE / q.dtype().bytes() : 1))
        .kernel("cache_prefill")
        .launch(
            stream,
            new LaunchShape(blocks, kvHeads, splits, THREADS, shared),
            new KernelArguments()
                .tensor(q)
                .i64(q.stride(0))
                .i64(q.stride(1))
                .i32(group)
                .f32(scale * CudaAttention.LOG2_E)
                .tensor(store.exact().pool())
                .i64(store.exact().pageBytes())
                .tensor(store.exact().table())
                .tensorOrNull(aged ? packed.pages().pool() : null)
                .i64(aged ? packed.pages().pageBytes() : 0)
                .tensorOrNull(aged ? packed.pages().table() : null)
                .i32(store.exact().each())
                .tensor(rows.sequences())
                .tensor(rows.starts())
                .tensorOrNull(rows.offsets())
                .i32(rows.count())
                .tensorOrNull(agedLengths)
                .i32(aged ? format.window() : 0)
                .i32(format.flush())
                .tensorOrNull(aged ? packed.sinks() : null)
                .tensorOrNull(aged ? packed.sinkPositions() : null)
                .tensorOrNull(aged ? packed.spoiled() : null)
                .tensorOrNull(aged ? packed.mean() : null)
                .tensorOrNull(packed == null ? null : packed.turns())
                .tensorOrNull(packed == null ? null : packed.inner())
                .tensorOrNull(aged ? packed.places() : null)
                .tensor(out)
                .i64(out.stride(0))
                .i64(out.stride(1))
                .tensorOrNull(parts)
                .tensorOrNull(stats));
    if (parts != null && stats != null) {
      CudaAttention.merge(stream, parts, stats, splits, rows.offsets(), out);
    }
  }
}
