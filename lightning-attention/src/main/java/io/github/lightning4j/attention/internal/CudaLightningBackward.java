package io.github.lightning4j.attention.internal;

import static com.google.common.base.Preconditions.checkNotNull;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;
import java.util.stream.Stream;

/** Launches of gradients, by chunks where these fit and else by tokens. */
public final class CudaLightningBackward {
  private static final int THREADS = 128;
  private static final int CHUNK = 64;

  /** The fewest columns of a block. */
  private static final int LEAST_COLUMNS = 8;

  private CudaLightningBackward() {}

  private static final class Sources {
    static final KernelSource LAGS =
        KernelSource.of(CudaLightningBackward.class, "lightning_lags.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return Stream.of(BackwardByChunks.sources(), BackwardByTokens.sources(), List.of(Sources.LAGS))
        .flatMap(List::stream)
        .toList();
  }

  /**
   * Floats of scratch memory of a pass that wants the gradient of the decay: the states behind or
   * before each chunk of 64 tokens, and the part of each block.
   *
   * @param packed whether sequences share one row
   */
  public static long scratchElements(Tensor k, Tensor v, long sequences, boolean packed) {
    return keptElements(k, v, sequences, packed)
        + sequences * k.size(2) * 2 * ceilDiv(k.size(3), LEAST_COLUMNS);
  }

  private static long keptElements(Tensor k, Tensor v, long sequences, boolean packed) {
    long chunks = packed ? k.size(1) / CHUNK + sequences : k.size(0) * ceilDiv(k.size(1), CHUNK);
    return chunks * k.size(2) * k.size(3) * ceilDiv(v.size(3), CHUNK) * CHUNK;
  }

  /** Puts a call on a stream. */
  public static void run(CudaStream stream, CudaBackwardCall call) {
    if (BackwardByChunks.takes(stream.device(), call)) {
      BackwardByChunks.run(stream, call);
    } else {
      BackwardByTokens.run(stream, call);
    }
  }

  /** The part of scratch memory for what blocks find of the gradient of the decay. */
  static Tensor lags(CudaBackwardCall call) {
    Tensor scratch = checkNotNull(call.scratch());
    long kept = keptElements(call.k(), call.v(), call.sequences(), call.offsets() != null);
    return scratch.narrow(0, kept, scratch.size(0) - kept);
  }

  /** Adds up what blocks have found, so many a head. */
  static void addLags(CudaStream stream, CudaBackwardCall call, long parts) {
    long heads = call.q().size(2);
    KernelModule.of(stream.device(), Sources.LAGS)
        .kernel("lightning_lags")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(heads, THREADS), THREADS),
            new KernelArguments()
                .tensor(lags(call))
                .i32(parts)
                .i32(heads)
                .tensor(checkNotNull(call.dLogDecay())));
  }

  static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
