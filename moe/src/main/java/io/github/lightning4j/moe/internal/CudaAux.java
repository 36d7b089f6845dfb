package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.moe.RouterOptions.Score;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code aux_loss.cu}. */
public final class CudaAux {
  /** Balance, z and the number of tokens. */
  public static final int VALUES = 3;

  private static final int THREADS = 256;
  private static final int WARP_TOKENS = THREADS / 32;
  private static final int BLOCK_TOKENS = 64;

  private CudaAux() {}

  private static final class Sources {
    static final KernelSource LOSS = KernelSource.of(CudaAux.class, "aux_loss.cu");
  }

  /**
   * A checked call.
   *
   * @param logits F32 {@code [T, E]}
   * @param index I32 {@code [T, k]}
   * @param mask I32 {@code [T]}, or null
   * @param weight of the balance in the total
   * @param zWeight of z in the total
   * @param scratch F64 of {@link #scratchElements}; the values are its first
   * @param out F32 {@code [T, E]}
   * @param add whether it is added to
   */
  public record Call(
      Tensor logits,
      Tensor index,
      @Nullable Tensor mask,
      double weight,
      double zWeight,
      Tensor scratch,
      Tensor out,
      boolean add) {}

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return List.of(source(Score.SOFTMAX), source(Score.SIGMOID));
  }

  /** Both kinds of softmax have one form. */
  private static KernelSource source(Score score) {
    Score own = score == Score.SIGMOID ? score : Score.SOFTMAX;
    return Sources.LOSS.define("SCORE", own.ordinal());
  }

  /** Doubles for values, loads and the sums of blocks. */
  public static long scratchElements(long tokens, long experts) {
    return VALUES + experts + ceilDiv(tokens, BLOCK_TOKENS) * (2 * experts + 2);
  }

  /** Puts a call on a stream. */
  public static void run(CudaStream stream, Score score, Call call) {
    long tokens = call.logits.size(0);
    long experts = call.logits.size(1);
    long blocks = ceilDiv(tokens, BLOCK_TOKENS);
    Tensor values = call.scratch.narrow(0, 0, VALUES);
    Tensor loads = call.scratch.narrow(0, VALUES, experts);
    Tensor partial = call.scratch.narrow(0, VALUES + experts, blocks * (2 * experts + 2));
    if (tokens == 0) {
      stream.clear(values);
      return;
    }
    KernelModule module = KernelModule.of(stream.device(), source(score));
    module
        .kernel("aux_sums")
        .launch(
            stream,
            LaunchShape.of(blocks, THREADS),
            new KernelArguments()
                .tensor(call.logits)
                .i64(call.logits.stride(0))
                .tensor(call.index)
                .i64(call.index.stride(0))
                .tensorOrNull(call.mask)
                .i32(tokens)
                .i32(experts)
                .i32(call.index.size(1))
                .tensor(partial));
    module
        .kernel("aux_join")
        .launch(
            stream,
            LaunchShape.of(1, THREADS).withShared(Math.toIntExact(experts * Double.BYTES)),
            new KernelArguments()
                .tensor(partial)
                .i32(blocks)
                .i32(experts)
                .tensor(loads)
                .tensor(values));
    module
        .kernel("aux_gradients")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(tokens, WARP_TOKENS), THREADS),
            new KernelArguments()
                .tensor(call.logits)
                .i64(call.logits.stride(0))
                .tensorOrNull(call.mask)
                .i32(tokens)
                .i32(experts)
                .tensor(loads)
                .tensor(values)
                .f64(call.weight)
                .f64(call.zWeight)
                .tensor(call.out)
                .i64(call.out.stride(0))
                .i32(call.add ? 1 : 0));
  }

  private static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
