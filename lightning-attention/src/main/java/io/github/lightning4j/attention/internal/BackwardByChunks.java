package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaDevice;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;

/** Launches of {@code lightning_backward.cu}. */
final class BackwardByChunks {
  private static final int THREADS = 128;
  private static final int CHUNK = 64;
  private static final int PAD = 8;
  private static final int WARP = 32;
  private static final int MOST_CHANNELS = 256;

  private BackwardByChunks() {}

  private static final class Sources {
    static final KernelSource CHUNKS =
        KernelSource.of(BackwardByChunks.class, "lightning_backward.cu");
  }

  /**
   * How columns are cut.
   *
   * @param dk channels of keys
   * @param dv channels of values
   */
  private record Cut(int dk, int dv) {
    static Cut of(Tensor k, Tensor v) {
      return new Cut((int) k.size(3), (int) v.size(3));
    }

    /** Columns of a block whose state has so many rows. */
    private static int columns(int values, int keys) {
      int most = keys <= 128 ? 64 : 32;
      return values % 64 == 0 ? most : values % 32 == 0 ? 32 : 16;
    }

    int columnsOfKeys() {
      return columns(dk, dv);
    }

    int columnsOfValues() {
      return columns(dv, dk);
    }

    int slicesOfKeys() {
      return dk / columnsOfKeys();
    }

    int slicesOfValues() {
      return dv / columnsOfValues();
    }

    /** The bytes of the larger {@code Shared} in the kernel's text. */
    int sharedBytes() {
      return Math.max(bytes(dv, columnsOfKeys()), bytes(dk, columnsOfValues()));
    }

    private static int bytes(int keys, int columns) {
      int pitch = columns + PAD;
      int elements = 2 * CHUNK * (keys + PAD) + (CHUNK + Math.max(keys, 2 * CHUNK)) * pitch;
      return (2 * elements + 4 * (CHUNK + 1 + WARP) + 15) / 16 * 16;
    }

    KernelSource source(DType gradients, boolean silu, boolean lag) {
      return Sources.CHUNKS
          .define("O", CudaLightning.code(gradients))
          .define("DK", dk)
          .define("DV", dv)
          .define("COLUMNS_K", columnsOfKeys())
          .define("COLUMNS_V", columnsOfValues())
          .define("SILU", silu ? 1 : 0)
          .define("LAG", lag ? 1 : 0);
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  static List<KernelSource> sources() {
    return List.of(
        new Cut(128, 128).source(DType.BF16, false, false),
        new Cut(128, 128).source(DType.BF16, true, false),
        new Cut(128, 128).source(DType.BF16, true, true),
        new Cut(64, 48).source(DType.F32, false, true),
        new Cut(256, 96).source(DType.BF16, true, false));
  }

  /** Whether the kernel takes tensors of this type, shape and place. */
  static boolean takes(CudaDevice device, CudaBackwardCall call) {
    long dk = call.k().size(3);
    long dv = call.v().size(3);
    boolean fits =
        call.q().dtype() == DType.BF16
            && call.dOut().dtype() == DType.BF16
            && dk % 16 == 0
            && dv % 16 == 0
            && Math.max(dk, dv) <= MOST_CHANNELS
            && Cut.of(call.k(), call.v()).sharedBytes() <= device.sharedMemoryPerBlock();
    Tensor[] rows = {call.q(), call.k(), call.v(), call.dOut(), call.dq(), call.dk(), call.dv()};
    for (Tensor x : rows) {
      fits &= x == null || CudaLightning.aligned(x);
    }
    return fits;
  }

  /** Puts a call on a stream; only the gradient of the decay makes one wait for another. */
  static void run(CudaStream stream, CudaBackwardCall call) {
    Cut cut = Cut.of(call.k(), call.v());
    boolean lag = call.dLogDecay() != null;
    KernelModule module =
        KernelModule.of(
            stream.device(), cut.source(call.gradientType(), call.options().silu(), lag));
    int keys = cut.slicesOfKeys();
    int values = cut.slicesOfValues();
    boolean queries = call.dq() != null;
    boolean adjoints = call.dk() != null;
    if (queries && adjoints && !lag) {
      launch(stream, module, cut, call, 0, 2 * keys + values);
      return;
    }
    if (queries) {
      launch(stream, module, cut, call, 0, keys);
    }
    if (adjoints) {
      launch(stream, module, cut, call, keys, keys + values);
    } else if (call.dInitial() != null) {
      launch(stream, module, cut, call, 2 * keys, values);
    }
    if (lag) {
      CudaLightningBackward.addLags(stream, call, call.sequences() * 2 * keys);
    }
  }

  private static void launch(
      CudaStream stream,
      KernelModule module,
      Cut cut,
      CudaBackwardCall call,
      int firstSlice,
      int slices) {
    if (call.sequences() == 0) {
      return;
    }
    module
        .kernel("lightning_backward")
        .launch(
            stream,
            new LaunchShape(slices, call.q().size(2), call.sequences(), THREADS, cut.sharedBytes()),
            CudaLightning.strided(
                    new KernelArguments(),
                    call.q(),
                    call.k(),
                    call.v(),
                    call.dOut(),
                    call.dq(),
                    call.dk(),
                    call.dv())
                .tensorOrNull(call.initial())
                .tensorOrNull(call.dFinal())
                .tensorOrNull(call.dInitial())
                .tensor(call.logDecay())
                .f32(call.options().scale())
                .tensorOrNull(call.offsets())
                .i32(call.q().size(1))
                .tensorOrNull(call.scratch())
                .tensorOrNull(call.dLogDecay() == null ? null : CudaLightningBackward.lags(call))
                .i32(firstSlice));
  }
}
