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

/** Launches of {@code cache_append.cu} and {@code cache_age.cu} over checked tensors. */
public final class CudaStoreKernels {
  private static final int THREADS = 256;

  private static final int AGE_THREADS = 128;

  /** Blocks that take the tokens of a piece in turns. */
  private static final int PIECE_BLOCKS = 64;

  /** Forms that differ in more than a number. */
  static final List<CudaCodec> CODECS =
      List.of(
          new CudaCodec(2, true, 0, 0, false, true, 32),
          new CudaCodec(2, false, 0, 1, true, true, 16),
          new CudaCodec(2, false, 0, 2, false, false, 0),
          new CudaCodec(4, false, 1, 3, false, true, 0),
          new CudaCodec(8, false, 0, 1, false, true, 0),
          new CudaCodec(2, false, 0, 1, false, true, 0, new CudaCodec.Grouping(4, 32, 128)),
          new CudaCodec(4, false, 0, 1, false, true, 0, new CudaCodec.Grouping(2, 64, 64)));

  /** Bytes that a thread reads at once where it can. */
  private static final int WIDE = 16;

  private CudaStoreKernels() {}

  private static final class Sources {
    static final KernelSource APPEND = KernelSource.of(CudaStoreKernels.class, "cache_append.cu");
    static final KernelSource AGE = KernelSource.of(CudaStoreKernels.class, "cache_age.cu");
    static final KernelSource AGE_GROUP =
        KernelSource.of(CudaStoreKernels.class, "cache_age_group.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (DType type : List.of(DType.F32, DType.BF16, DType.F16)) {
      all.add(append(type, 128, WIDE / type.bytes()));
      all.add(append(type, 32, 1));
    }
    for (CudaCodec codec : CODECS) {
      all.add(age(codec, 128));
      if (codec.grouping().heads() > 0) {
        all.add(ageGroup(codec, 128));
      }
    }
    return all;
  }

  private static KernelSource age(CudaCodec codec, int dim) {
    return codec.define(Sources.AGE, dim).define("CENTERED", codec.centered() ? 1 : 0);
  }

  private static KernelSource ageGroup(CudaCodec codec, int dim) {
    return codec
        .define(Sources.AGE_GROUP, dim)
        .define("M", codec.grouping().heads() * dim)
        .define("CENTERED", codec.centered() ? 1 : 0);
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
                .tensor(sequences)
                .tensor(starts)
                .tensorOrNull(offsets)
                .i32(sequences.size(0)));
  }

  /** Quantizes the tokens that leave the window as sequences go on by these pieces. */
  public static void age(
      CudaStream stream,
      CudaStore store,
      Tensor sequences,
      Tensor starts,
      @Nullable Tensor offsets) {
    CudaStore.Packed packed = store.packed();
    CacheFormat format = store.format();
    if (packed == null || format.key() == null || format.value() == null) {
      return;
    }
    int kvHeads = format.exact().kvHeads();
    // A warp a key or value; a step lets a run of tokens go at most.
    long warps = offsets == null ? 2 * format.flush() : 4L * PIECE_BLOCKS;
    KernelModule.of(stream.device(), age(packed.codec(), format.exact().headDim()))
        .kernel("cache_age")
        .launch(
            stream,
            new LaunchShape((warps + 3) / 4, kvHeads, sequences.size(0), AGE_THREADS, 0),
            pages(store, packed)
                .tensorOrNull(packed.sinks())
                .tensorOrNull(packed.sinkPositions())
                .tensor(packed.spoiled())
                .tensor(sequences)
                .tensor(starts)
                .tensorOrNull(offsets)
                .i32(format.window())
                .i32(format.flush())
                .f64(CudaCodec.clip(format.key().quantizer()))
                .f64(CudaCodec.clip(format.value().quantizer()))
                .tensorOrNull(packed.mean())
                .tensorOrNull(packed.frequencies()));
    if (packed.permutation() != null) {
      ageGroup(stream, store, packed, packed.permutation(), sequences, starts, offsets);
    }
  }

  /** What both kernels of ageing begin with. */
  private static KernelArguments pages(CudaStore store, CudaStore.Packed packed) {
    return new KernelArguments()
        .tensor(store.exact().pool())
        .i64(store.exact().pageBytes())
        .tensor(store.exact().table())
        .tensor(packed.pages().pool())
        .i64(packed.pages().pageBytes())
        .tensor(packed.pages().table())
        .i32(packed.pages().each());
  }

  /** The keys of these tokens, where they are rotated over heads. */
  private static void ageGroup(
      CudaStream stream,
      CudaStore store,
      CudaStore.Packed packed,
      Tensor permutation,
      Tensor sequences,
      Tensor starts,
      @Nullable Tensor offsets) {
    CacheFormat format = store.format();
    PageLayout layout = format.exact();
    long blocks = offsets == null ? format.flush() : PIECE_BLOCKS;
    int shared = Float.BYTES * layout.kvHeads() * layout.headDim();
    KernelModule.of(stream.device(), ageGroup(packed.codec(), layout.headDim()))
        .kernel("cache_age_group")
        .launch(
            stream,
            new LaunchShape(blocks, 1, sequences.size(0), AGE_THREADS, shared),
            pages(store, packed)
                .tensorOrNull(packed.sinkPositions())
                .tensor(packed.spoiled())
                .tensor(sequences)
                .tensor(starts)
                .tensorOrNull(offsets)
                .i32(format.window())
                .i32(format.flush())
                .f64(CudaCodec.clip(format.key().quantizer()))
                .tensor(permutation)
                .i32(layout.kvHeads()));
  }

  /** Whether all rows begin at multiples of 16 bytes. */
  static boolean aligned(Tensor x) {
    return x.deviceAddress() % WIDE == 0
        && x.stride(0) * x.dtype().bytes() % WIDE == 0
        && x.stride(1) * x.dtype().bytes() % WIDE == 0;
  }
}
