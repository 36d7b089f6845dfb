package io.github.lightning4j.cispo.internal;

import io.github.lightning4j.cispo.head.HeadGradients;
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
import org.jspecify.annotations.Nullable;

/** Launches of {@code head_backward.cu}: block after block of tokens, and of words within it. */
public final class CudaHeadBackward {
  private static final int DEPTH = 64;

  /** The bytes of {@code Token} in the kernel's text. */
  private static final int TOKEN_BYTES = 28;

  private CudaHeadBackward() {}

  private static final class Sources {
    static final KernelSource BACKWARD =
        KernelSource.of(CudaHeadBackward.class, "head_backward.cu");
  }

  /**
   * Tokens and words whose gradients of logits are in memory at once.
   *
   * @param tokens at most so many
   * @param words at most so many
   */
  record Block(long tokens, long words) {
    private static final long TOKENS = 4096;
    private static final long ELEMENTS = 1 << 25;
    private static final long MOST_WORDS = 1 << 21; // their tiles are the second number of a grid
    private static final long GRANULE = 8;
    private static final long TILE = 128;

    static Block of(long tokens, long words) {
      long down = Math.max(1, Math.min(tokens, TOKENS));
      long across = Math.min(MOST_WORDS, ELEMENTS / down / TILE * TILE);
      return new Block(down, Math.min(words, across));
    }

    /** Elements from one token's gradients to the next's. */
    static long pitch(long words) {
      return ceilDiv(words, GRANULE) * GRANULE;
    }

    /** The floats of a block of BF16. */
    long scratchElements() {
      return ceilDiv(tokens * pitch(words), 2);
    }
  }

  /** How a block's tile of sums is cut, as {@code TileOf} has it. */
  private record Tile(int rows, int columns, int warpRows, int stages) {
    static final Tile SMALL = new Tile(64, 64, 32, 4);
    static final Tile LARGE = new Tile(128, 128, 64, 3);

    static Tile of(CudaDevice device, long tokens) {
      if (tokens <= SMALL.rows) {
        return SMALL;
      }
      boolean fits = LARGE.sharedBytes() + LARGE.tokenBytes() <= device.sharedMemoryPerBlock();
      return fits ? LARGE : new Tile(LARGE.rows, LARGE.columns, LARGE.warpRows, LARGE.stages - 1);
    }

    private int sharedBytes() {
      return stages * DEPTH * Short.BYTES * (rows + columns);
    }

    int tokenBytes() {
      return rows * TOKEN_BYTES;
    }

    LaunchShape shape(long down, long across, int moreBytes) {
      return LaunchShape.of(
              ceilDiv(down, rows), ceilDiv(across, columns), rows / warpRows * columns)
          .withShared(sharedBytes() + moreBytes);
    }

    KernelSource source(DType targets) {
      return Sources.BACKWARD
          .define("ROWS", rows)
          .define("COLUMNS", columns)
          .define("WARP_ROWS", warpRows)
          .define("STAGES", stages)
          .define("TARGET", targets.bytes());
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return List.of(Tile.SMALL.source(DType.I32), Tile.LARGE.source(DType.I64));
  }

  /** Floats that the gradients of a block of logits take. */
  public static long scratchElements(long tokens, long words) {
    return tokens == 0 ? 0 : Block.of(tokens, words).scratchElements();
  }

  /**
   * A checked backward pass.
   *
   * @param hidden {@code [T, H]} BF16
   * @param head {@code [V, H]} BF16
   * @param targets {@code [T]}
   * @param temperature divides the logits
   * @param forward what the forward pass wrote
   * @param gradients what is known and what is wanted
   * @param scratch F32, as large as the block
   */
  public record Call(
      Tensor hidden,
      Tensor head,
      Tensor targets,
      double temperature,
      HeadOutput forward,
      HeadGradients gradients,
      Tensor scratch) {}

  /** Puts a checked backward pass on a stream. */
  public static void run(CudaStream stream, Call call) {
    run(stream, call, Block.of(call.hidden.size(0), call.head.size(0)));
  }

  static void run(CudaStream stream, Call call, Block block) {
    long tokens = call.hidden.size(0);
    long words = call.head.size(0);
    Tile tile = Tile.of(stream.device(), tokens);
    KernelModule module = KernelModule.of(stream.device(), tile.source(call.targets.dtype()));
    // no tokens: one block of none, which sets the gradient of the head to zero
    for (long token = 0; token == 0 || token < tokens; token += block.tokens) {
      long down = Math.min(block.tokens, tokens - token);
      for (long word = 0; word < words; word += block.words) {
        Part part =
            new Part(
                stream, module, tile, call, token, down, word, Math.min(block.words, words - word));
        part.dLogits();
        part.dHidden();
        part.dHead();
      }
    }
  }

  /** One block of one call. */
  private record Part(
      CudaStream stream,
      KernelModule module,
      Tile tile,
      Call call,
      long token,
      long tokens,
      long word,
      long words) {
    private long width() {
      return call.hidden.size(1);
    }

    private Tensor own(Tensor all) {
      return all.narrow(0, token, tokens);
    }

    private @Nullable Tensor ownOrNull(@Nullable Tensor all) {
      return all == null ? null : own(all);
    }

    private Tensor head() {
      return call.head.narrow(0, word, words);
    }

    void dLogits() {
      if (tokens == 0) {
        return;
      }
      Tensor dEntropy = call.gradients.dEntropy();
      module
          .kernel("head_d_logits")
          .launch(
              stream,
              tile.shape(tokens, words, tile.tokenBytes()),
              new KernelArguments()
                  .tensor(own(call.hidden))
                  .i64(call.hidden.stride(0))
                  .tensor(head())
                  .i64(call.head.stride(0))
                  .tensor(own(call.targets))
                  .i32(tokens)
                  .i32(word)
                  .i32(words)
                  .i32(width())
                  .f32((float) (1 / call.temperature))
                  .tensor(own(call.forward.logProb()))
                  .tensor(own(call.forward.logSumExp()))
                  .tensorOrNull(dEntropy == null ? null : ownOrNull(call.forward.entropy()))
                  .tensor(own(call.gradients.dLogProb()))
                  .tensorOrNull(ownOrNull(dEntropy))
                  .tensor(call.scratch)
                  .i32(Block.pitch(words)));
    }

    void dHidden() {
      Tensor out = call.gradients.outDHidden();
      if (out == null || tokens == 0) {
        return;
      }
      module
          .kernel("head_d_hidden")
          .launch(
              stream,
              tile.shape(tokens, width(), 0),
              new KernelArguments()
                  .tensor(call.scratch)
                  .i32(Block.pitch(words))
                  .tensor(head())
                  .i64(call.head.stride(0))
                  .i32(tokens)
                  .i32(words)
                  .i32(width())
                  .tensor(own(out))
                  .i64(out.stride(0))
                  .i32(word > 0 ? 1 : 0));
    }

    void dHead() {
      Tensor out = call.gradients.outDHead();
      if (out == null) {
        return;
      }
      module
          .kernel("head_d_head")
          .launch(
              stream,
              tile.shape(words, width(), 0),
              new KernelArguments()
                  .tensor(call.scratch)
                  .i32(Block.pitch(words))
                  .tensor(own(call.hidden))
                  .i64(call.hidden.stride(0))
                  .tensor(own(call.gradients.dLogProb()))
                  .tensorOrNull(ownOrNull(call.gradients.dEntropy()))
                  .i32(tokens)
                  .i32(words)
                  .i32(width())
                  .tensor(out.narrow(0, word, words))
                  .i64(out.stride(0))
                  .i32(token > 0 || call.gradients.addToDHead() ? 1 : 0));
    }
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
