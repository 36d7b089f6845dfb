package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.core.cuda.kernel.WarpGroups;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.moe.RouterOptions.Score;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Launches of {@code experts_few.cu}, {@code experts_tiled.cu} or {@code experts_wgmma.cu} and
 * {@code experts_wgmma_codes.cu}, and {@code combine.cu} over pairs that {@link CudaRouting} has
 * sorted. Grids are as large as the tokens allow; which blocks have work is found out on the GPU.
 */
public final class CudaExperts {
  static final int THREADS = 256;

  /** Tokens of an expert that experts_few.cu takes. */
  private static final long FEW = 16;

  private static final long FEW_ROWS = 16;
  private static final int TILED_ROWS = 256;
  static final int COMBINE_WIDTH = THREADS * 8;
  private static final int MOST_STAGES = 4;

  /** Shared memory of experts_tiled.cu that is not for stages, with its alignment. */
  private static final int STATIC_BYTES = 1024;

  private CudaExperts() {}

  private static final class Sources {
    static final KernelSource FEW = KernelSource.of(CudaExperts.class, "experts_few.cu");
    static final KernelSource TILED = KernelSource.of(CudaExperts.class, "experts_tiled.cu");
    static final KernelSource WGMMA = KernelSource.of(CudaExperts.class, "experts_wgmma.cu");
    static final KernelSource CODES = KernelSource.of(CudaExperts.class, "experts_wgmma_codes.cu");
    static final KernelSource COMBINE = KernelSource.of(CudaExperts.class, "combine.cu");
  }

  /**
   * A checked call.
   *
   * @param x BF16 {@code [T, H]}
   * @param k choices of a token
   * @param first the expert of the mixture that is the first of the matrices
   * @param experts how many the matrices have, from that one on
   * @param format of the weights, null for bf16
   * @param matrices W1, W3 and W2
   * @param buffers with the tokens sorted
   * @param residual {@code [T, H]} of the type of out, or null
   * @param alpha its factor
   * @param beta the factor of the mixture
   * @param out {@code [T, H]} BF16 or F32
   */
  public record Call(
      Tensor x,
      int k,
      int first,
      int experts,
      @Nullable QuantFormat format,
      List<CudaExpertMatrix> matrices,
      CudaMoeBuffers buffers,
      @Nullable Tensor residual,
      float alpha,
      float beta,
      Tensor out) {
    private long pairs() {
      return x.size(0) * k;
    }

    /** Where the slots of these experts begin, and the last one ends. */
    private Tensor offsets() {
      return buffers.offsets().narrow(0, first, experts + 1L);
    }

    /** Tokens that an expert of the whole mixture has on average. */
    private long mean() {
      return pairs() / (buffers.offsets().size(0) - 1);
    }

    private int bits() {
      return format == null ? DType.BF16.bytes() * Byte.SIZE : format.bits();
    }

    /** The binary logarithm of the weights that share a scale. */
    private int shift() {
      return format == null ? 0 : Integer.numberOfTrailingZeros(format.block());
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (Score score : Score.values()) {
      all.add(CudaRouting.source(score, true));
    }
    all.add(CudaRouting.source(Score.SIGMOID, false));
    for (int bits : new int[] {16, 8, 4}) {
      all.add(few(bits));
      all.add(tiled(bits, 64, 3));
      all.add(tiled(bits, 128, MOST_STAGES));
    }
    for (int bits : new int[] {16, 8, 4}) {
      all.add(groups(bits));
    }
    for (DType type : List.of(DType.F32, DType.BF16)) {
      all.add(combine(type));
    }
    all.add(CudaExpertMatrix.arrange(DType.BF16));
    all.add(CudaExpertMatrix.arrange(DType.U8));
    return all;
  }

  private static KernelSource few(int bits) {
    return Sources.FEW.define("BITS", bits);
  }

  private static KernelSource tiled(int bits, int tile, int stages) {
    return Sources.TILED.define("BITS", bits).define("TILE", tile).define("STAGES", stages);
  }

  /** By warp groups. */
  private static KernelSource groups(int bits) {
    KernelSource source =
        bits == 16 ? Sources.WGMMA.define("GROUPS", groupsOfBlock(bits)) : Sources.CODES;
    return source.define("BITS", bits).define("STAGES", MOST_STAGES);
  }

  /** Warp groups of a block: of 64 tokens each, or those of codes of 128 weight rows. */
  private static int groupsOfBlock(int bits) {
    return bits == 16 ? 3 : 2;
  }

  static KernelSource combine(DType type) {
    return Sources.COMBINE.define("O", type == DType.F32 ? 0 : 1);
  }

  /** Puts a call on a stream. */
  public static void run(CudaStream stream, Call call) {
    few(stream, call);
    if (call.x.size(0) > FEW) {
      tiled(stream, call);
    }
    combine(stream, call);
  }

  private static void few(CudaStream stream, Call call) {
    KernelModule module = KernelModule.of(stream.device(), few(call.bits()));
    long busy = Math.min(call.experts, call.pairs());
    for (boolean first : new boolean[] {true, false}) {
      CudaExpertMatrix matrix = call.matrices.get(first ? 0 : 2);
      module
          .kernel(first ? "few_hidden" : "few_answers")
          .launch(
              stream,
              LaunchShape.of(ceilDiv(matrix.rows(), FEW_ROWS), busy, THREADS),
              first ? hidden(call) : answers(call));
    }
  }

  private static void tiled(CudaStream stream, Call call) {
    int tile = call.mean() <= 64 ? 64 : 128;
    if (tile == 128 && WarpGroups.areChosen(stream.device())) {
      byGroups(stream, call);
      return;
    }
    int stageBytes = stageBytes(call.bits(), tile);
    int fitting = (stream.device().sharedMemoryPerBlock() - STATIC_BYTES) / stageBytes;
    int stages = Math.max(2, Math.min(MOST_STAGES, fitting));
    KernelSource source = tiled(call.bits(), tile, stages);
    LaunchShape shape =
        LaunchShape.of(mostTiles(call, tile), THREADS).withShared(stages * stageBytes);
    launch(stream, call, source, "tiled", shape);
  }

  private static void byGroups(CudaStream stream, Call call) {
    int bits = call.bits();
    int groups = groupsOfBlock(bits);
    int tokens = 64 * groups;
    LaunchShape shape =
        LaunchShape.of(mostTiles(call, tokens), 128 * groups).withShared(groupBytes(bits, tokens));
    launch(stream, call, groups(bits), "wgmma", shape);
  }

  /** Both products; the shape is that of one piece of the weight rows for each tile of tokens. */
  private static void launch(
      CudaStream stream, Call call, KernelSource source, String kernel, LaunchShape shape) {
    KernelModule module = KernelModule.of(stream.device(), source);
    for (boolean first : new boolean[] {true, false}) {
      CudaExpertMatrix matrix = call.matrices.get(first ? 0 : 2);
      long columns = ceilDiv(matrix.rows(), first ? TILED_ROWS / 2 : TILED_ROWS);
      module
          .kernel(kernel + (first ? "_hidden" : "_answers"))
          .launch(
              stream,
              LaunchShape.of(columns * shape.gridX(), shape.threads())
                  .withShared(shape.sharedBytes()),
              first ? hidden(call) : answers(call));
    }
  }

  /** The most tiles that experts with more than FEW tokens can have, however they are spread. */
  private static long mostTiles(Call call, int tile) {
    long busy = Math.min(call.experts, call.pairs() / (FEW + 1));
    return Math.min(call.pairs() / tile + busy, call.experts * ceilDiv(call.x.size(0), tile));
  }

  /** The ring of a kernel by warp groups, or what takes its place at the end if that is larger. */
  private static int groupBytes(int bits, int tokens) {
    if (bits == 16) {
      return MOST_STAGES * stageBytes(bits, tokens);
    }
    int depth = 64;
    int scales = 2 * TILED_ROWS * Short.BYTES;
    int stage = depth * 2 * tokens + (depth * bits / 8 + 16) * TILED_ROWS + scales + scales / 2;
    int ring = MOST_STAGES * (int) ceilDiv(stage, 1024) * 1024;
    return Math.max(ring, tokens * (TILED_ROWS + 4) * Float.BYTES);
  }

  /** kStageBytes of the kernel's text. */
  private static int stageBytes(int bits, int tile) {
    int depth = Math.max(64, 512 / bits);
    int blocks = bits < 16 ? depth / 32 : 0;
    return depth * (tile * 2 + TILED_ROWS * bits / 8) + blocks * TILED_ROWS * (bits == 4 ? 3 : 2);
  }

  private static KernelArguments hidden(Call call) {
    KernelArguments arguments =
        new KernelArguments()
            .tensor(call.x)
            .i64(call.x.stride(0))
            .tensor(call.buffers.sources())
            .tensor(call.offsets())
            .i32(call.experts);
    call.matrices.get(1).to(call.matrices.get(0).to(arguments));
    return sizes(call, call.matrices.get(0), arguments).tensor(call.buffers.hidden());
  }

  private static KernelArguments answers(Call call) {
    KernelArguments arguments =
        new KernelArguments()
            .tensor(call.buffers.hidden())
            .tensor(call.offsets())
            .i32(call.experts);
    CudaExpertMatrix down = call.matrices.get(2);
    return sizes(call, down, down.to(arguments)).tensor(call.buffers.answers());
  }

  private static KernelArguments sizes(
      Call call, CudaExpertMatrix matrix, KernelArguments arguments) {
    return arguments.i32(matrix.rows()).i32(matrix.columns()).i32(call.shift());
  }

  private static void combine(CudaStream stream, Call call) {
    long h = call.out.size(1);
    Tensor residual = call.residual;
    KernelModule.of(stream.device(), combine(call.out.dtype()))
        .kernel("combine")
        .launch(
            stream,
            LaunchShape.of(call.out.size(0), ceilDiv(h, COMBINE_WIDTH), THREADS),
            new KernelArguments()
                .tensor(call.buffers.answers())
                .tensor(call.buffers.positions())
                .tensor(call.buffers.weight())
                .tensor(call.offsets())
                .i32(call.experts)
                .i32(call.k)
                .i32(h)
                .tensorOrNull(residual)
                .i64(residual == null ? 0 : residual.stride(0))
                .f32(call.alpha)
                .f32(call.beta)
                .tensor(call.out)
                .i64(call.out.stride(0)));
  }

  /** {@code out = alpha residual + beta mixture}, over {@code [T, H]}. */
  public static void addResidual(
      CudaStream stream, Tensor mixture, Tensor residual, float alpha, float beta, Tensor out) {
    long h = out.size(1);
    KernelModule.of(stream.device(), combine(out.dtype()))
        .kernel("add_residual")
        .launch(
            stream,
            LaunchShape.of(out.size(0), ceilDiv(h, COMBINE_WIDTH), THREADS),
            new KernelArguments()
                .tensor(mixture)
                .i32(h)
                .tensor(residual)
                .i64(residual.stride(0))
                .f32(alpha)
                .f32(beta)
                .tensor(out)
                .i64(out.stride(0)));
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
