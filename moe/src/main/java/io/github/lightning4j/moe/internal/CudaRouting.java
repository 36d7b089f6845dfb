package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.Kernel;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.moe.RouterOptions;
import io.github.lightning4j.moe.RouterOptions.Score;
import org.jspecify.annotations.Nullable;

/** Launches of {@code route.cu}. */
public final class CudaRouting {
  /** The most experts whose counts a block scans. */
  public static final int MOST_EXPERTS = 1024;

  static final int MOST_SEGMENTS = 128;

  private static final int THREADS = 256;
  private static final int WARP = 32;
  private static final int WARPS = THREADS / WARP;

  /** Tokens that one block routes and sorts alone. */
  private static final long SEGMENT = 64;

  private CudaRouting() {}

  private static final class Sources {
    static final KernelSource ROUTE = KernelSource.of(CudaRouting.class, "route.cu");
  }

  static KernelSource source(Score score, boolean normalized) {
    return Sources.ROUTE.define("SCORE", score.ordinal()).define("NORMALIZED", normalized ? 1 : 0);
  }

  /** Routes the tokens of {@code logits [T, E]} and sorts their pairs by expert. */
  public static void run(
      CudaStream stream,
      Tensor logits,
      RouterOptions options,
      @Nullable Tensor bias,
      CudaMoeBuffers buffers) {
    KernelModule module =
        KernelModule.of(stream.device(), source(options.score(), options.normalized()));
    long tokens = logits.size(0);
    long experts = logits.size(1);
    int k = options.k();
    long segment = Math.max(SEGMENT, ceilDiv(tokens, MOST_SEGMENTS));
    long segments = ceilDiv(tokens, segment);
    module
        .kernel("route_tokens")
        .launch(
            stream,
            LaunchShape.of(segments, THREADS)
                .withShared(sharedBytes(experts, options, Math.min(segment, tokens))),
            new KernelArguments()
                .tensor(logits)
                .i64(logits.stride(0))
                .i32(tokens)
                .i32(experts)
                .i32(k)
                .tensorOrNull(bias)
                .i32(options.groups())
                .i32(options.topGroups())
                .i32(options.groupBest())
                .f32(options.scale())
                .i32(Math.min(segment, tokens))
                .tensor(buffers.index())
                .tensor(buffers.weight())
                .tensor(buffers.counts())
                .tensor(buffers.positions())
                .tensor(buffers.offsets())
                .tensor(buffers.sources()));
    if (segments > 1) {
      int threads = (int) Math.min(MOST_EXPERTS, ceilDiv(experts, WARP) * WARP);
      module
          .kernel("scan_segments")
          .launch(
              stream,
              LaunchShape.of(1, threads).withShared((int) experts * Integer.BYTES),
              new KernelArguments()
                  .tensor(buffers.counts())
                  .i32(segments)
                  .i32(experts)
                  .tensor(buffers.offsets()));
      place(module.kernel("place_pairs"), stream, tokens * k, k, segment, experts, buffers);
    }
  }

  private static void place(
      Kernel kernel,
      CudaStream stream,
      long pairs,
      int k,
      long segment,
      long experts,
      CudaMoeBuffers buffers) {
    kernel.launch(
        stream,
        LaunchShape.of(ceilDiv(pairs, THREADS), THREADS),
        new KernelArguments()
            .tensor(buffers.index())
            .i32(pairs)
            .i32(k)
            .i32(segment)
            .i32(experts)
            .tensor(buffers.counts())
            .tensor(buffers.offsets())
            .tensor(buffers.positions())
            .tensor(buffers.sources()));
  }

  /** As the comment at {@code route_tokens} says. */
  private static int sharedBytes(long experts, RouterOptions options, long segment) {
    long warp =
        (long) Double.BYTES * options.groups()
            + Float.BYTES * 2 * experts
            + Integer.BYTES * ((long) options.groups() + options.k());
    long block = 2 * experts + 1 + 2 * segment * options.k();
    return Math.toIntExact(WARPS * warp + Integer.BYTES * block);
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
