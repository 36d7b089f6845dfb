package io.github.lightning4j.core.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.Kernel;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Launches of {@code rows.cu} and {@code argmax.cu} over checked tensors on the stream's device.
 */
public final class CudaRows {
  private static final int THREADS = 256;

  /** Bytes that a thread reads at once where it can. */
  private static final int WIDE = 16;

  private final CudaStream stream;

  /** Launches on a stream. */
  public CudaRows(CudaStream stream) {
    this.stream = stream;
  }

  private static final class Sources {
    static final KernelSource ROWS = KernelSource.of(CudaRows.class, "rows.cu");
    static final KernelSource ARGMAX = KernelSource.of(CudaRows.class, "argmax.cu");
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    List<KernelSource> all = new ArrayList<>();
    for (DType activations : List.of(DType.F32, DType.BF16, DType.F16)) {
      for (int vector : new int[] {1, WIDE / activations.bytes()}) {
        all.add(rows(activations, DType.BF16, vector, 3));
        all.add(argmax(activations, vector));
      }
    }
    return all;
  }

  private static KernelSource rows(DType x, DType w, int vector, int rounds) {
    return Sources.ROWS
        .define("X", code(x))
        .define("W", code(w))
        .define("VECTOR", vector)
        .define("ROUNDS", rounds);
  }

  private static KernelSource argmax(DType x, int vector) {
    return Sources.ARGMAX.define("X", code(x)).define("VECTOR", vector);
  }

  static int code(DType type) {
    return type == DType.F32 ? 0 : type == DType.BF16 ? 1 : 2;
  }

  private Kernel kernel(KernelSource source, String name) {
    return KernelModule.of(stream.device(), source).kernel(name);
  }

  /** {@code out[t] = weight * x[t] / sqrt(mean(x[t]^2) + eps)}. */
  public void rmsNorm(Tensor x, Tensor weight, float eps, Tensor out) {
    long h = x.size(1);
    int vector = vector(h, List.of(x, out), List.of(weight));
    int threads = THREADS;
    while (threads < 1024 && threads * vector * 4L < h) {
      threads *= 2;
    }
    int rounds = Math.toIntExact(ceilDiv(h, (long) threads * vector));
    kernel(rows(x.dtype(), weight.dtype(), vector, rounds), "rms_norm")
        .launch(
            stream,
            LaunchShape.of(x.size(0), threads),
            new KernelArguments()
                .tensor(x)
                .i64(x.stride(0))
                .tensor(weight)
                .tensor(out)
                .i64(out.stride(0))
                .i32(h)
                .f32(eps));
  }

  /** {@code out = alpha x + beta y} over contiguous elements. */
  public void scaledSum(Tensor x, float alpha, Tensor y, float beta, Tensor out) {
    long n = x.elements();
    int vector = vector(n, List.of(), List.of(x, y, out));
    kernel(rows(x.dtype(), x.dtype(), vector, 1), "scaled_sum")
        .launch(
            stream,
            LaunchShape.of(ceilDiv(n, (long) THREADS * vector), THREADS),
            new KernelArguments().tensor(x).f32(alpha).tensor(y).f32(beta).tensor(out).i64(n));
  }

  /** {@code out[t] = silu(gate[t]) * up[t]}. */
  public void siluGate(Tensor gate, Tensor up, Tensor out) {
    long h = gate.size(1);
    int vector = vector(h, List.of(gate, up, out), List.of());
    kernel(rows(gate.dtype(), gate.dtype(), vector, 1), "silu_gate")
        .launch(
            stream,
            LaunchShape.of(gate.size(0), ceilDiv(h, (long) THREADS * vector), THREADS),
            new KernelArguments()
                .tensor(gate)
                .i64(gate.stride(0))
                .tensor(up)
                .i64(up.stride(0))
                .tensor(out)
                .i64(out.stride(0))
                .i32(h));
  }

  /** Rotates {@code x [T, heads, D]} in place. */
  public void rope(Tensor x, Tensor frequencies, @Nullable Tensor positions, long firstPosition) {
    long half = frequencies.size(0);
    int wide = WIDE / x.dtype().bytes();
    boolean aligned =
        half % wide == 0
            && x.deviceAddress() % WIDE == 0
            && x.stride(0) % wide == 0
            && x.stride(1) % wide == 0;
    kernel(rows(x.dtype(), x.dtype(), aligned ? wide : 1, 1), "rope")
        .launch(
            stream,
            LaunchShape.of(x.size(0), THREADS).withShared((int) half * 2 * Float.BYTES),
            new KernelArguments()
                .tensor(x)
                .i64(x.stride(0))
                .i64(x.stride(1))
                .i32(x.size(1))
                .tensor(frequencies)
                .i32(half)
                .tensorOrNull(positions)
                .i64(firstPosition));
  }

  /** {@code out[t] = table[ids[t]]}. */
  public void gatherRows(Tensor table, Tensor ids, Tensor out) {
    long h = table.size(1);
    int vector = vector(h, List.of(table, out), List.of());
    kernel(rows(out.dtype(), table.dtype(), vector, 1), "gather_rows")
        .launch(
            stream,
            LaunchShape.of(ids.size(0), ceilDiv(h, (long) THREADS * vector), THREADS),
            new KernelArguments()
                .tensor(table)
                .i32(table.size(0))
                .tensor(ids)
                .tensor(out)
                .i64(out.stride(0))
                .i32(h));
  }

  /** The index of the largest element of each row; {@code scratch [B, parts]} I64. */
  public void argmax(Tensor logits, Tensor scratch, Tensor out) {
    long n = logits.size(1);
    int vector = vector(n, List.of(logits), List.of());
    KernelSource source = argmax(logits.dtype(), vector);
    long parts = scratch.size(1);
    kernel(source, "argmax_parts")
        .launch(
            stream,
            LaunchShape.of(parts, logits.size(0), THREADS),
            new KernelArguments().tensor(logits).i64(logits.stride(0)).i32(n).tensor(scratch));
    kernel(source, "argmax_join")
        .launch(
            stream,
            LaunchShape.of(logits.size(0), 32),
            new KernelArguments().tensor(scratch).i32(parts).tensor(out));
  }

  /** How many elements a thread takes at once: 16 bytes of the first tensor, or one. */
  static int vector(long width, List<Tensor> rows, List<Tensor> dense) {
    int wide = WIDE / (rows.isEmpty() ? dense : rows).get(0).dtype().bytes();
    boolean fits = width % wide == 0;
    for (List<Tensor> some : List.of(rows, dense)) {
      for (Tensor tensor : some) {
        fits &= tensor.deviceAddress() % ((long) wide * tensor.dtype().bytes()) == 0;
        fits &= some == dense || tensor.stride(0) % wide == 0;
      }
    }
    return fits ? wide : 1;
  }

  static long ceilDiv(long n, long by) {
    return (n + by - 1) / by;
  }
}
