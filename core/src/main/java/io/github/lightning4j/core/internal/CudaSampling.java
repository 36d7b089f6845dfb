package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** Launches of {@code sampling.cu} over checked tensors. */
public final class CudaSampling {
  private static final int PART_THREADS = 256;
  private static final int PICK_THREADS = 1024;

  private CudaSampling() {}

  private static final class Sources {
    static final KernelSource SAMPLING = KernelSource.of(CudaSampling.class, "sampling.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return Stream.of(DType.F32, DType.BF16, DType.F16).map(CudaSampling::source).toList();
  }

  private static KernelSource source(DType logits) {
    return Sources.SAMPLING.define("X", CudaRows.code(logits));
  }

  /**
   * A checked call.
   *
   * @param logits {@code [B, V]}
   * @param options {@code [B, 5]} F64
   * @param seeds {@code [B]} I64
   * @param draws {@code [B]} I32
   * @param seen {@code [B, V]} U8
   * @param parts {@code [B, parts]} I64
   * @param scores room for {@code [B, V]} fp32
   * @param out {@code [B]} I32
   */
  public record Call(
      Tensor logits,
      Tensor options,
      Tensor seeds,
      Tensor draws,
      @Nullable Tensor seen,
      Tensor parts,
      Tensor scores,
      Tensor out) {}

  /** Puts a call on a stream. */
  public static void run(CudaStream stream, Call call) {
    KernelModule module = KernelModule.of(stream.device(), source(call.logits.dtype()));
    long rows = call.logits.size(0);
    long n = call.logits.size(1);
    long parts = call.parts.size(1);
    LaunchShape byParts = LaunchShape.of(parts, rows, PART_THREADS);
    module
        .kernel("sample_scores")
        .launch(
            stream,
            byParts,
            new KernelArguments()
                .tensor(call.logits)
                .i64(call.logits.stride(0))
                .i32(n)
                .tensor(call.options)
                .tensorOrNull(call.seen)
                .tensor(call.scores)
                .tensor(call.parts));
    module
        .kernel("sample_weights")
        .launch(
            stream,
            byParts,
            new KernelArguments()
                .tensor(call.scores)
                .i32(n)
                .tensor(call.options)
                .tensor(call.parts));
    module
        .kernel("sample_pick")
        .launch(
            stream,
            LaunchShape.of(rows, PICK_THREADS),
            new KernelArguments()
                .tensor(call.scores)
                .i32(n)
                .tensor(call.options)
                .tensor(call.parts)
                .i32(parts)
                .tensor(call.seeds)
                .tensor(call.draws)
                .tensorOrNull(call.seen)
                .tensor(call.out));
  }
}
