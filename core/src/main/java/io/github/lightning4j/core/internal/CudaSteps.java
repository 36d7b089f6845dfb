package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.Kernel;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import io.github.lightning4j.core.quant.CudaQuantizedMatrix;
import java.util.List;

/** Launches of {@code gated_norm.cu} and {@code step.cu} over checked tensors. */
public final class CudaSteps {
  private static final int THREADS = 256;
  private static final int MOST_THREADS = 1024;

  private final CudaStream stream;

  /** Launches on a stream. */
  public CudaSteps(CudaStream stream) {
    this.stream = stream;
  }

  private static final class Sources {
    static final KernelSource NORM = KernelSource.of(CudaSteps.class, "gated_norm.cu");
    static final KernelSource STEP = KernelSource.of(CudaSteps.class, "step.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return List.of(
        norm(DType.F32, DType.BF16, DType.BF16, DType.BF16, 4, 2),
        norm(DType.BF16, DType.BF16, DType.BF16, DType.BF16, 8, 1),
        norm(DType.F32, DType.F32, DType.F32, DType.F32, 1, 9),
        step(DType.F32, DType.BF16, 4, 8, 128),
        step(DType.BF16, DType.F32, 1, 4, 32));
  }

  private static KernelSource norm(
      DType x, DType gate, DType weight, DType out, int vector, int rounds) {
    return Sources.NORM
        .define("X", CudaRows.code(x))
        .define("G", CudaRows.code(gate))
        .define("W", CudaRows.code(weight))
        .define("O", CudaRows.code(out))
        .define("VECTOR", vector)
        .define("ROUNDS", rounds);
  }

  private static KernelSource step(DType x, DType out, int vector, int bits, int block) {
    return Sources.STEP
        .define("X", CudaRows.code(x))
        .define("O", CudaRows.code(out))
        .define("VECTOR", vector)
        .define("BITS", bits)
        .define("BLOCK", block);
  }

  private Kernel kernel(KernelSource source, String name) {
    return KernelModule.of(stream.device(), source).kernel(name);
  }

  /** {@code out[t] = sigmoid(gate[t]) * weight * x[t] / sqrt(mean(x[t]^2) + eps)}. */
  public void gatedNorm(Tensor x, Tensor gate, Tensor weight, float eps, Tensor out) {
    long h = x.size(1);
    int vector = CudaRows.vector(h, List.of(x, gate, out), List.of(weight));
    int threads = THREADS;
    while (threads < MOST_THREADS && threads * vector * 4L < h) {
      threads *= 2;
    }
    int rounds = Math.toIntExact(CudaRows.ceilDiv(h, (long) threads * vector));
    kernel(norm(x.dtype(), gate.dtype(), weight.dtype(), out.dtype(), vector, rounds), "gated_norm")
        .launch(
            stream,
            LaunchShape.of(x.size(0), threads),
            new KernelArguments()
                .tensor(x)
                .i64(x.stride(0))
                .tensor(gate)
                .i64(gate.stride(0))
                .tensor(weight)
                .tensor(out)
                .i64(out.stride(0))
                .i32(h)
                .f32(eps));
  }

  /** {@code out[t] = x[t]}, rounded. */
  public void convert(Tensor x, Tensor out) {
    long h = x.size(1);
    int vector = CudaRows.vector(h, List.of(x, out), List.of());
    kernel(step(x.dtype(), out.dtype(), vector, 8, 1), "convert")
        .launch(
            stream,
            LaunchShape.of(x.size(0), CudaRows.ceilDiv(h, (long) THREADS * vector), THREADS),
            new KernelArguments().tensor(x).i64(x.stride(0)).tensor(out).i64(out.stride(0)).i32(h));
  }

  /** {@code out[t] = table[ids[t]]}. */
  public void gatherRows(CudaQuantizedMatrix table, Tensor ids, Tensor out) {
    long h = table.columns();
    KernelSource source =
        step(DType.F32, out.dtype(), 1, table.format().bits(), table.format().block());
    kernel(source, "gather_codes")
        .launch(
            stream,
            LaunchShape.of(ids.size(0), CudaRows.ceilDiv(h, THREADS), THREADS),
            new KernelArguments()
                .tensor(table.codes())
                .i64(table.codes().stride(0))
                .tensor(table.scales())
                .tensorOrNull(table.zeros())
                .i32(table.blocks())
                .i32(table.rows())
                .tensor(ids)
                .tensor(out)
                .i64(out.stride(0))
                .i32(h));
  }

  /** Adds {@code by} to counters that are not negative. */
  public void advance(Tensor counters, int by) {
    kernel(step(DType.F32, DType.F32, 1, 8, 1), "advance_counters")
        .launch(
            stream,
            LaunchShape.of(CudaRows.ceilDiv(counters.elements(), THREADS), THREADS),
            new KernelArguments().tensor(counters).i32(counters.elements()).i32(by));
  }
}
