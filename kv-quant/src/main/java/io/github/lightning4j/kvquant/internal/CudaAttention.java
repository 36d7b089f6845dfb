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
import org.jspecify.annotations.Nullable;

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
    all.addAll(CudaTransforms.sources());
    all.addAll(CudaRowsOfPrompts.sources());
    for (int dim : new int[] {32, 64, 128}) {
      all.add(decode(DType.BF16, CudaCodec.EXACT, dim));
      all.add(merge(DType.BF16, dim));
    }
    for (CudaCodec codec : CudaStoreKernels.CODECS) {
      all.add(decode(DType.BF16, codec, 128));
    }
    all.add(decode(DType.F32, CudaStoreKernels.CODECS.get(0), 64));
    all.add(decode(DType.F16, CudaCodec.EXACT, 128));
    return all;
  }

  private static KernelSource decode(DType q, CudaCodec codec, int dim) {
    return codec.define(Sources.DECODE, dim).define("X", CudaStoreKernels.code(q));
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

  /** Splits of what is not quantized yet, with one for sinks; 0 where there is no such thing. */
  private static int recentSplits(CudaStore store) {
    CudaStore.Packed packed = store.packed();
    if (packed == null) {
      return 0;
    }
    long tokens = store.format().window() + store.format().flush() - 1;
    int window = (int) Math.min(MOST_SPLITS, (tokens + LEAST_TOKENS - 1) / LEAST_TOKENS);
    return packed.sinks() == null ? window : Math.max(1, window) + 1;
  }

  /** Floats that the splits of so many rows take. */
  public static long scratch(CudaDevice device, CudaStore store, long rows, long heads) {
    int dim = store.format().exact().headDim();
    int splits = splits(device, store, rows, heads) + recentSplits(store);
    return rows * heads * splits * (dim + 2);
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
    CudaStore.Packed packed = store.packed();
    int recent = recentSplits(store);
    int splits = splits(stream.device(), store, q.size(0), q.size(1));
    Rows rows = new Rows(q, sequences, positions);
    Step step = new Step(stream, store, rows, scale, scratch, splits + recent);
    if (packed == null) {
      step.attend(Part.ALL, store.exactCodec(), store.exact(), 0, splits);
    } else {
      step.attend(Part.AGED, packed.codec(), packed.pages(), 0, splits);
    }
    if (recent > 0) {
      step.attend(Part.RECENT, store.exactCodec(), store.exact(), splits, recent);
    }
    merge(stream, step.sums(), step.stats(), step.splits, null, out);
  }

  /** Joins {@code splits} of each row of {@code out}; rows outside all pieces are left alone. */
  static void merge(
      CudaStream stream,
      Tensor sums,
      Tensor stats,
      int splits,
      @Nullable Tensor offsets,
      Tensor out) {
    KernelModule.of(stream.device(), merge(out.dtype(), (int) out.size(2)))
        .kernel("cache_merge")
        .launch(
            stream,
            LaunchShape.of(out.size(1), out.size(0), (int) out.size(2)),
            new KernelArguments()
                .tensor(sums)
                .tensor(stats)
                .i32(splits)
                .tensorOrNull(offsets)
                .i32(offsets == null ? 0 : offsets.size(0) - 1)
                .tensor(out)
                .i64(out.stride(0))
                .i64(out.stride(1)));
  }

  /** Which positions a launch is over; as the kernel numbers them. */
  private enum Part {
    ALL,
    AGED,
    RECENT
  }

  /** The queries of a call and what they see. */
  private record Rows(Tensor q, Tensor sequences, Tensor positions) {}

  /** The launches of one call, whose splits lie side by side. */
  private record Step(
      CudaStream stream, CudaStore store, Rows rows, float scale, Tensor scratch, int splits) {
    Tensor sums() {
      Tensor q = rows.q();
      return scratch.narrow(0, 0, q.elements() * splits);
    }

    Tensor stats() {
      Tensor q = rows.q();
      return scratch.narrow(0, q.elements() * splits, q.size(0) * q.size(1) * splits * 2);
    }

    void attend(Part part, CudaCodec codec, CudaStore.Pages pages, int first, int count) {
      CacheFormat format = store.format();
      CudaStore.Packed packed = store.packed();
      Tensor q = rows.q();
      int kvHeads = format.exact().kvHeads();
      long group = q.size(1) / kvHeads;
      boolean aged = part == Part.AGED && packed != null;
      KernelModule.of(stream.device(), decode(q.dtype(), codec, format.exact().headDim()))
          .kernel("cache_decode")
          .launch(
              stream,
              new LaunchShape(count, kvHeads * eights(group), q.size(0), THREADS, 0),
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
                  .tensor(rows.sequences())
                  .tensor(rows.positions())
                  .i32(part.ordinal())
                  .i32(packed == null ? 0 : format.window())
                  .i32(format.flush())
                  .tensorOrNull(packed == null ? null : packed.sinks())
                  .tensorOrNull(packed == null ? null : packed.sinkPositions())
                  .tensorOrNull(aged ? packed.spoiled() : null)
                  .tensorOrNull(aged ? packed.mean() : null)
                  .tensorOrNull(packed == null ? null : packed.turns())
                  .tensorOrNull(aged ? packed.angles() : null)
                  .tensorOrNull(aged ? packed.places() : null)
                  .tensorOrNull(packed == null ? null : packed.inner())
                  .tensor(sums())
                  .tensor(stats())
                  .i32(first)
                  .i32(splits));
    }
  }
}
