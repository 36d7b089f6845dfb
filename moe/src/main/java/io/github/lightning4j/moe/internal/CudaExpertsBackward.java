package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.ArrayList;
import java.util.List;

/**
 * Launches of {@code experts_backward.cu} and {@code experts_gradients.cu} over pairs that the
 * forward pass has sorted, and of {@code combine.cu} for the gradients of the tokens.
 */
public final class CudaExpertsBackward {
  private static final int BITS = 16;
  private static final int DEPTH = 64;
  private static final int SMALL = 64;
  private static final int LARGE = 128;
  private static final int STAGES = 3;

  /** Columns of a block of {@code backward_hidden}. */
  private static final int COLUMNS = 64;

  /** W1, W3, W2. */
  private static final int MATRICES = 3;

  private CudaExpertsBackward() {}

  private static final class Sources {
    static final KernelSource BACKWARD =
        KernelSource.of(CudaExpertsBackward.class, "experts_backward.cu");
    static final KernelSource GRADIENTS =
        KernelSource.of(CudaExpertsBackward.class, "experts_gradients.cu");
  }

  /**
   * A checked call.
   *
   * @param x BF16 {@code [T, H]}
   * @param dOut BF16 {@code [T, H]}
   * @param k choices of a token
   * @param experts E
   * @param matrices W1, W3 and W2 in bf16
   * @param buffers with the tokens sorted; hidden rows and answers are overwritten
   * @param scratch F32 of {@link #scratchElements}
   * @param dx F32 or BF16 {@code [T, H]}
   * @param dWeight F32 {@code [T, k]}, contiguous
   * @param dMatrices F32 {@code [E, I, H]} twice and {@code [E, H, I]}, contiguous
   */
  public record Call(
      Tensor x,
      Tensor dOut,
      int k,
      int experts,
      List<CudaExpertMatrix> matrices,
      CudaMoeBuffers buffers,
      Tensor scratch,
      Tensor dx,
      Tensor dWeight,
      List<Tensor> dMatrices) {
    private long pairs() {
      return x.size(0) * k;
    }

    private long hidden() {
      return matrices.get(0).columns();
    }

    private long inner() {
      return matrices.get(0).rows();
    }

    /** dg or du, BF16 {@code [pairs, I]} in half as many floats. */
    private Tensor inner(int which) {
      long floats = pairs() * inner() / 2;
      return scratch.narrow(0, which * floats, floats);
    }

    private Tensor parts() {
      return scratch.narrow(0, pairs() * inner(), pairs() * ceilDiv(inner(), COLUMNS));
    }

    private Tensor matrix(int which) {
      return matrices.get(which).codes();
    }
  }

  /** Floats for dg, du and what blocks leave of the gradients of the weights. */
  public static long scratchElements(long pairs, long inner) {
    return pairs * (inner + ceilDiv(inner, COLUMNS));
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (int tile : new int[] {SMALL, LARGE}) {
      all.add(source(Sources.BACKWARD, tile, hiddenStages(tile)));
      all.add(source(Sources.GRADIENTS, tile, STAGES));
    }
    return all;
  }

  private static KernelSource source(KernelSource source, int tile, int stages) {
    return source.define("BITS", BITS).define("TILE", tile).define("STAGES", stages);
  }

  /** Puts a call on a stream. */
  public static void run(CudaStream stream, Call call) {
    hidden(stream, call);
    int tile = tile(call);
    int threads = threads(tile);
    KernelModule module = KernelModule.of(stream.device(), source(Sources.GRADIENTS, tile, STAGES));
    int shared = STAGES * DEPTH * 2 * tile * Short.BYTES;
    module
        .kernel("gradient_rows")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(call.hidden(), tile) * mostTiles(call, tile), threads)
                .withShared(shared),
            new KernelArguments()
                .tensor(call.inner(0))
                .tensor(call.inner(1))
                .tensor(call.buffers.offsets())
                .i32(call.experts)
                .tensor(call.matrix(0))
                .tensor(call.matrix(1))
                .i32(call.inner())
                .i32(call.hidden())
                .tensor(call.buffers.answers()));
    combine(stream, call);
    module
        .kernel("gradient_matrices")
        .launch(
            stream,
            new LaunchShape(
                ceilDiv(call.hidden(), tile) * ceilDiv(call.inner(), tile),
                MATRICES,
                call.experts,
                threads,
                shared),
            new KernelArguments()
                .tensor(call.inner(0))
                .tensor(call.inner(1))
                .tensor(call.buffers.hidden())
                .tensor(call.x)
                .i64(call.x.stride(0))
                .tensor(call.dOut)
                .i64(call.dOut.stride(0))
                .tensor(call.buffers.sources())
                .tensor(call.buffers.offsets())
                .i32(call.inner())
                .i32(call.hidden())
                .tensor(call.dMatrices.get(0))
                .tensor(call.dMatrices.get(1))
                .tensor(call.dMatrices.get(2)));
  }

  private static int tile(Call call) {
    return call.pairs() / call.experts <= SMALL ? SMALL : LARGE;
  }

  /** Eight warps of a large tile, four of a small one. */
  private static int threads(int tile) {
    return 2 * tile;
  }

  /** dg, du and weighted hidden rows, and the gradients of the routing weights. */
  private static void hidden(CudaStream stream, Call call) {
    int tile = fitting(stream.device(), tile(call));
    int fit = (stream.device().sharedMemoryPerBlock() - rowBytes(tile)) / stageBytes(tile);
    int stages = Math.min(hiddenStages(tile), fit);
    KernelModule module = KernelModule.of(stream.device(), source(Sources.BACKWARD, tile, stages));
    long blocks = ceilDiv(call.inner(), COLUMNS);
    module
        .kernel("backward_hidden")
        .launch(
            stream,
            LaunchShape.of(blocks * mostTiles(call, tile), threads(tile))
                .withShared(stages * stageBytes(tile) + rowBytes(tile)),
            new KernelArguments()
                .tensor(call.x)
                .i64(call.x.stride(0))
                .tensor(call.dOut)
                .i64(call.dOut.stride(0))
                .tensor(call.buffers.sources())
                .tensor(call.buffers.positions())
                .tensor(call.buffers.weight())
                .i32(call.k)
                .tensor(call.buffers.offsets())
                .i32(call.experts)
                .tensor(call.matrix(0))
                .tensor(call.matrix(1))
                .tensor(call.matrix(2))
                .i32(call.hidden())
                .i32(call.inner())
                .i64(call.pairs())
                .tensor(call.inner(0))
                .tensor(call.inner(1))
                .tensor(call.buffers.hidden())
                .tensor(call.parts()));
    module
        .kernel("backward_shares")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(call.pairs(), CudaExperts.THREADS), CudaExperts.THREADS),
            new KernelArguments()
                .tensor(call.parts())
                .i32(blocks)
                .tensor(call.buffers.positions())
                .i64(call.pairs())
                .tensor(call.dWeight));
  }

  /** The tile itself, or a small one where two stages of it are more than a block may have. */
  private static int fitting(CudaDevice device, int tile) {
    boolean fits = 2 * stageBytes(tile) + rowBytes(tile) <= device.sharedMemoryPerBlock();
    return fits ? tile : SMALL;
  }

  /** Of a small tile two, so that two blocks share a multiprocessor. */
  private static int hiddenStages(int tile) {
    return tile == SMALL ? 2 : STAGES;
  }

  /** The bytes of {@code Stage} in the kernel's text. */
  private static int stageBytes(int tile) {
    return DEPTH * Short.BYTES * (2 * tile + MATRICES * COLUMNS);
  }

  /** What {@code Shared} has beside its stages: four numbers a token. */
  private static int rowBytes(int tile) {
    return 4 * Integer.BYTES * tile;
  }

  /** The most tiles that experts can have, however tokens are spread. */
  private static long mostTiles(Call call, int tile) {
    long busy = Math.min(call.experts, call.pairs());
    return Math.min(call.pairs() / tile + busy, call.experts * ceilDiv(call.x.size(0), tile));
  }

  private static void combine(CudaStream stream, Call call) {
    long h = call.hidden();
    KernelModule.of(stream.device(), CudaExperts.combine(call.dx.dtype()))
        .kernel("combine")
        .launch(
            stream,
            LaunchShape.of(
                call.x.size(0), ceilDiv(h, CudaExperts.COMBINE_WIDTH), CudaExperts.THREADS),
            new KernelArguments()
                .tensor(call.buffers.answers())
                .tensor(call.buffers.positions())
                .tensorOrNull(null)
                .tensor(call.buffers.offsets())
                .i32(call.experts)
                .i32(call.k)
                .i32(h)
                .tensorOrNull(null)
                .i64(0)
                .f32(0)
                .f32(1)
                .tensor(call.dx)
                .i64(call.dx.stride(0)));
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
