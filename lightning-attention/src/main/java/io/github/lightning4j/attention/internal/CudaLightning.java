package io.github.lightning4j.attention.internal;

import io.github.lightning4j.attention.Options;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code lightning_recurrent.cu} and {@code lightning_chunks.cu}. */
public final class CudaLightning {
  private static final int THREADS = 128;
  private static final int LANES_A_ROW = 8;
  private static final int CHUNK = 64;
  private static final int ALIGNMENT = 16;

  /** Below so many tokens the fp32 kernel is as fast as one that fills whole chunks. */
  private static final int CHUNKS_FROM = 16;

  private CudaLightning() {}

  private static final class Sources {
    static final KernelSource RECURRENT =
        KernelSource.of(CudaLightning.class, "lightning_recurrent.cu");
    static final KernelSource CHUNKS = KernelSource.of(CudaLightning.class, "lightning_chunks.cu");
  }

  /**
   * A checked call.
   *
   * @param q {@code [B, T, H, Dk]}
   * @param k {@code [B, T, H, Dk]}
   * @param v {@code [B, T, H, Dv]}
   * @param logDecay {@code [H]} F32
   * @param options scale and SiLU
   * @param pool {@code [S, H, Dk, Dv]} F32
   * @param slots {@code [sequences]} I32
   * @param offsets {@code [sequences + 1]} I32
   * @param out {@code [B, T, H, Dv]}
   */
  public record Call(
      Tensor q,
      Tensor k,
      Tensor v,
      Tensor logDecay,
      Options options,
      Tensor pool,
      @Nullable Tensor slots,
      @Nullable Tensor offsets,
      Tensor out) {
    private long sequences() {
      return offsets == null ? q.size(0) : offsets.size(0) - 1;
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  public static List<KernelSource> sources() {
    return List.of(
        recurrent(1, 1, 128, 128, true),
        recurrent(0, 0, 33, 7, false),
        recurrent(2, 0, 64, 64, true),
        chunks(1, 128, 128, true),
        chunks(0, 64, 16, false));
  }

  private static KernelSource recurrent(int x, int o, long dk, long dv, boolean silu) {
    return Sources.RECURRENT
        .define("X", x)
        .define("O", o)
        .define("DK", dk)
        .define("DV", dv)
        .define("VECTOR", vector(dv))
        .define("SILU", silu ? 1 : 0);
  }

  private static KernelSource chunks(int o, long dk, long dv, boolean silu) {
    return Sources.CHUNKS
        .define("O", o)
        .define("DK", dk)
        .define("DV", dv)
        .define("COLUMNS", columns(dv))
        .define("SILU", silu ? 1 : 0);
  }

  static int code(DType type) {
    return type == DType.F32 ? 0 : type == DType.BF16 ? 1 : 2;
  }

  private static int vector(long dv) {
    return dv % 4 == 0 ? 4 : 1;
  }

  private static int columns(long dv) {
    return dv % 64 == 0 ? 64 : dv % 32 == 0 ? 32 : 16;
  }

  /** Puts a call on a stream. */
  public static void run(CudaStream stream, Call call) {
    if (takesChunks(stream, call)) {
      byChunks(stream, call);
    } else {
      byTokens(stream, call);
    }
  }

  /** The bytes of {@code Shared} in the kernel's text. */
  private static int sharedBytes(long dk, int columns) {
    long pitch = columns + 8;
    long elements = 2L * CHUNK * (dk + 8) + 3L * CHUNK * pitch + 2 * dk * pitch;
    return (int) (2 * elements + 4 * (CHUNK + 1) + 15) / 16 * 16;
  }

  private static boolean takesChunks(CudaStream stream, Call call) {
    long dk = call.k.size(3);
    long dv = call.v.size(3);
    boolean fits =
        call.q.dtype() == DType.BF16
            && call.q.size(1) >= CHUNKS_FROM
            && dk % 16 == 0
            && dv % 16 == 0
            && dk <= 256
            && sharedBytes(dk, columns(dv)) <= stream.device().sharedMemoryPerBlock();
    for (Tensor x : List.of(call.q, call.k, call.v)) {
      fits &= aligned(x);
    }
    return fits;
  }

  /** Whether all tokens and heads start at multiples of 16 bytes. */
  static boolean aligned(Tensor x) {
    boolean aligned = x.deviceAddress() % ALIGNMENT == 0;
    for (int dim = 0; dim < 3; dim++) {
      aligned &= x.size(dim) == 1 || x.stride(dim) * x.dtype().bytes() % ALIGNMENT == 0;
    }
    return aligned;
  }

  private static void byChunks(CudaStream stream, Call call) {
    long dk = call.k.size(3);
    long dv = call.v.size(3);
    int columns = columns(dv);
    KernelSource source = chunks(code(call.out.dtype()), dk, dv, call.options.silu());
    KernelModule.of(stream.device(), source)
        .kernel("lightning_chunks")
        .launch(
            stream,
            new LaunchShape(
                dv / columns, call.q.size(2), call.sequences(), THREADS, sharedBytes(dk, columns)),
            arguments(call));
  }

  private static void byTokens(CudaStream stream, Call call) {
    long dv = call.v.size(3);
    KernelSource source =
        recurrent(
            code(call.q.dtype()), code(call.out.dtype()), call.k.size(3), dv, call.options.silu());
    long columns = (long) LANES_A_ROW * vector(dv);
    KernelModule.of(stream.device(), source)
        .kernel("lightning_recurrent")
        .launch(
            stream,
            new LaunchShape(
                (dv + columns - 1) / columns, call.q.size(2), call.sequences(), THREADS, 0),
            arguments(call));
  }

  private static KernelArguments arguments(Call call) {
    return strided(new KernelArguments(), call.q, call.k, call.v, call.out)
        .tensor(call.logDecay)
        .f32(call.options.scale())
        .tensor(call.pool)
        .tensorOrNull(call.slots)
        .tensorOrNull(call.offsets)
        .i32(call.q.size(1));
  }

  /** Adds tensors with their strides of row, token and head; nulls where there is none. */
  static KernelArguments strided(KernelArguments arguments, @Nullable Tensor... tensors) {
    for (Tensor x : tensors) {
      arguments.tensorOrNull(x);
      for (int dim = 0; dim < 3; dim++) {
        arguments.i64(x == null ? 0 : x.stride(dim));
      }
    }
    return arguments;
  }
}
