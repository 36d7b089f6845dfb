package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.cispo.head.HeadOutput;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;

/** Launches of {@code head_forward.cu}. */
public final class CudaHead {
  private static final int DEPTH = 64;
  private static final int JOIN_THREADS = 128;

  /** Blocks a multiprocessor, so that the last of them do not leave others idle for long. */
  private static final int BLOCKS = 4;

  /** Floats of a part: largest logit and two sums. */
  private static final int PART = 3;

  private CudaHead() {}

  private static final class Sources {
    static final KernelSource FORWARD = KernelSource.of(CudaHead.class, "head_forward.cu");
  }

  /**
   * How a block's tile of logits is cut.
   *
   * @param rows tokens
   * @param columns words
   * @param warpRows tokens of a warp, which has 32 words
   * @param stages steps in shared memory at once
   */
  private record Tile(int rows, int columns, int warpRows, int stages) {
    static final Tile SMALL = new Tile(64, 64, 32, 4);
    static final Tile LARGE = new Tile(128, 128, 64, 4);

    static Tile of(long tokens) {
      return tokens <= SMALL.rows ? SMALL : LARGE;
    }

    int threads() {
      return rows / warpRows * columns;
    }

    /** The bytes of {@code Shared} in the kernel's text. */
    int sharedBytes() {
      return stages * DEPTH * Short.BYTES * (rows + columns) + columns / 32 * rows * PART * 4;
    }

    KernelSource source(DType targets) {
      return Sources.FORWARD
          .define("ROWS", rows)
          .define("COLUMNS", columns)
          .define("WARP_ROWS", warpRows)
          .define("STAGES", stages)
          .define("TARGET", targets.bytes());
    }

    /** Tiles of the vocabulary that a block goes through. */
    long tilesOfStretch(CudaDevice device, long tokens, long words) {
      long tiles = ceilDiv(words, columns);
      long wanted = ceilDiv((long) BLOCKS * device.multiprocessors(), ceilDiv(tokens, rows));
      return ceilDiv(tiles, Math.min(tiles, wanted));
    }

    long stretches(CudaDevice device, long tokens, long words) {
      return ceilDiv(ceilDiv(words, columns), tilesOfStretch(device, tokens, words));
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return List.of(Tile.SMALL.source(DType.I32), Tile.LARGE.source(DType.I64));
  }

  /** Floats that a forward pass leaves its parts in. */
  public static long scratchElements(CudaDevice device, long tokens, long words) {
    return tokens == 0 ? 0 : tokens * (1 + PART * Tile.of(tokens).stretches(device, tokens, words));
  }

  /** Puts a checked forward pass on a stream. */
  public static void forward(
      CudaStream stream,
      Tensor hidden,
      Tensor head,
      Tensor targets,
      double temperature,
      Tensor scratch,
      HeadOutput out) {
    long tokens = hidden.size(0);
    long words = head.size(0);
    CudaDevice device = stream.device();
    Tile tile = Tile.of(tokens);
    long tiles = tile.tilesOfStretch(device, tokens, words);
    long stretches = tile.stretches(device, tokens, words);
    Tensor own = scratch.narrow(0, 0, tokens);
    Tensor parts = scratch.narrow(0, tokens, tokens * stretches * PART);
    KernelModule module = KernelModule.of(device, tile.source(targets.dtype()));
    module
        .kernel("head_forward")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(tokens, tile.rows), stretches, tile.threads())
                .withShared(tile.sharedBytes()),
            new KernelArguments()
                .tensor(hidden)
                .i64(hidden.stride(0))
                .tensor(head)
                .i64(head.stride(0))
                .tensor(targets)
                .i32(tokens)
                .i32(words)
                .i32(hidden.size(1))
                .f32((float) (1 / temperature))
                .i32(tiles)
                .tensor(parts)
                .tensor(own));
    module
        .kernel("head_join")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(tokens, JOIN_THREADS), JOIN_THREADS),
            new KernelArguments()
                .tensor(parts)
                .i32(stretches)
                .tensor(own)
                .tensor(targets)
                .i32(tokens)
                .i32(words)
                .tensor(out.logProb())
                .tensor(out.logSumExp())
                .tensorOrNull(out.entropy()));
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
