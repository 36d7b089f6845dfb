package io.github.lightning4j.moe.internal;

import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.moe.RouterOptions;
import io.github.lightning4j.moe.RouterOptions.Score;
import java.util.ArrayList;
import java.util.List;

/** Launches of {@code route_backward.cu}. */
public final class CudaRoutingBackward {
  private static final int THREADS = 256;
  private static final int TOKENS = THREADS / 32;

  private CudaRoutingBackward() {}

  private static final class Sources {
    static final KernelSource BACKWARD =
        KernelSource.of(CudaRoutingBackward.class, "route_backward.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (Score score : Score.values()) {
      all.add(source(score, true));
      all.add(source(score, false));
    }
    return all;
  }

  private static KernelSource source(Score score, boolean normalized) {
    return Sources.BACKWARD
        .define("SCORE", score.ordinal())
        .define("NORMALIZED", normalized ? 1 : 0);
  }

  /** The gradient of {@code logits [T, E]} from that of the weights that the buffers hold. */
  public static void run(
      CudaStream stream,
      Tensor logits,
      RouterOptions options,
      CudaMoeBuffers buffers,
      Tensor dWeight,
      Tensor outDLogits) {
    KernelModule.of(stream.device(), source(options.score(), options.normalized()))
        .kernel("route_backward")
        .launch(
            stream,
            LaunchShape.of((logits.size(0) + TOKENS - 1) / TOKENS, THREADS),
            new KernelArguments()
                .tensor(logits)
                .i64(logits.stride(0))
                .i32(logits.size(0))
                .i32(logits.size(1))
                .i32(options.k())
                .f32(options.scale())
                .tensor(buffers.index())
                .tensor(buffers.weight())
                .tensor(dWeight)
                .tensor(outDLogits)
                .i64(outDLogits.stride(0)));
  }
}
