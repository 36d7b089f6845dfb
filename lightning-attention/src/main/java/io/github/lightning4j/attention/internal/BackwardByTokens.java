package io.github.lightning4j.attention.internal;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaStream;
import io.github.lightning4j.core.cuda.kernel.KernelArguments;
import io.github.lightning4j.core.cuda.kernel.KernelModule;
import io.github.lightning4j.core.cuda.kernel.KernelSource;
import io.github.lightning4j.core.cuda.kernel.LaunchShape;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Launches of {@code lightning_backward_tokens.cu}: one for each gradient. */
final class BackwardByTokens {
  private static final int THREADS = 128;
  private static final int LANES_A_ROW = 8;

  private BackwardByTokens() {}

  private static final class Sources {
    static final KernelSource TOKENS =
        KernelSource.of(BackwardByTokens.class, "lightning_backward_tokens.cu");
  }

  /** What a gradient is of; which operands stand for queries, keys and values follows from it. */
  private enum Of {
    QUERIES,
    KEYS,
    VALUES;

    KernelSource source(DType type, DType dOut, DType gradients, long dk, long dv, boolean silu) {
      long values = this == VALUES ? dv : dk;
      return Sources.TOKENS
          .define("Q", CudaLightning.code(this == QUERIES ? dOut : type))
          .define("K", CudaLightning.code(this == KEYS ? dOut : type))
          .define("V", CudaLightning.code(this == VALUES ? dOut : type))
          .define("X", CudaLightning.code(type))
          .define("O", CudaLightning.code(gradients))
          .define("KEYS", this == VALUES ? dk : dv)
          .define("VALUES", values)
          .define("VECTOR", vector(values))
          .define("REVERSED", this == QUERIES ? 0 : 1)
          .define("TRANSPOSED", this == VALUES ? 0 : 1)
          .define("SILU_Q", silu && this != QUERIES ? 1 : 0)
          .define("SILU_K", silu && this != KEYS ? 1 : 0)
          .define("SILU_V", silu && this != VALUES ? 1 : 0)
          .define("SILU_X", silu ? 1 : 0);
    }
  }

  /** Every source in a form that builds compile to see that it does. */
  static List<KernelSource> sources() {
    return List.of(
        Of.QUERIES.source(DType.F32, DType.F32, DType.F32, 33, 20, false).define("LAG", 1),
        Of.KEYS.source(DType.BF16, DType.F32, DType.BF16, 128, 128, true).define("LAG", 1),
        Of.VALUES.source(DType.F16, DType.F16, DType.F32, 64, 7, true).define("LAG", 0));
  }

  private static int vector(long values) {
    return values % 4 == 0 ? 4 : 1;
  }

  /** Puts a call on a stream. */
  static void run(CudaStream stream, CudaBackwardCall call) {
    Tensor q = call.q();
    Tensor k = call.k();
    Tensor v = call.v();
    Tensor g = call.dOut();
    Tensor lags = call.dLogDecay() == null ? null : CudaLightningBackward.lags(call);
    long blocks = blocks(k.size(3));
    long parts = call.sequences() * blocks;
    if (call.dq() != null) {
      launch(stream, call, Of.QUERIES, new Tensor[] {g, v, k, q, call.dq()}, lags);
    }
    if (call.dk() != null) {
      Tensor behind = lags == null ? null : lags.narrow(0, parts * q.size(2), parts * q.size(2));
      launch(stream, call, Of.KEYS, new Tensor[] {v, g, q, k, call.dk()}, behind);
    }
    if (call.dv() != null || call.dInitial() != null) {
      launch(stream, call, Of.VALUES, new Tensor[] {k, q, g, v, call.dv()}, null);
    }
    if (lags != null) {
      CudaLightningBackward.addLags(stream, call, 2 * parts);
    }
  }

  private static long blocks(long columns) {
    return CudaLightningBackward.ceilDiv(columns, (long) LANES_A_ROW * vector(columns));
  }

  private static KernelModule module(CudaStream stream, CudaBackwardCall call, Of of, boolean lag) {
    KernelSource source =
        of.source(
            call.q().dtype(),
            call.dOut().dtype(),
            call.gradientType(),
            call.k().size(3),
            call.v().size(3),
            call.options().silu());
    return KernelModule.of(stream.device(), source.define("LAG", lag ? 1 : 0));
  }

  private static void launch(
      CudaStream stream,
      CudaBackwardCall call,
      Of of,
      @Nullable Tensor[] rows,
      @Nullable Tensor lags) {
    if (call.sequences() == 0) {
      return;
    }
    Tensor columns = of == Of.VALUES ? call.v() : call.k();
    module(stream, call, of, lags != null)
        .kernel("lightning_backward_tokens")
        .launch(
            stream,
            new LaunchShape(
                blocks(columns.size(3)), call.q().size(2), call.sequences(), THREADS, 0),
            CudaLightning.strided(new KernelArguments(), rows)
                .tensorOrNull(of == Of.QUERIES ? call.initial() : call.dFinal())
                .tensorOrNull(of == Of.VALUES ? call.dInitial() : null)
                .tensor(call.logDecay())
                .f32(call.options().scale())
                .tensorOrNull(call.offsets())
                .i32(call.q().size(1))
                .tensorOrNull(lags == null ? null : call.scratch())
                .tensorOrNull(lags));
  }
}
