package io.github.lightning4j.attention;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import org.jspecify.annotations.Nullable;

/**
 * One pass whose gradients a GPU and the reference in double make. q, k, v and their gradients are
 * views of one projection.
 */
final class GpuGradients {
  private final Gpu gpu;
  private final MemoryScope scope;
  private final double[] slopes;
  private final Options options;
  private final int dk;
  private final int dv;
  private final Tensor fused;
  private final Tensor dOut;
  private final @Nullable Tensor offsets;
  private final long[] stateShape;
  private @Nullable Tensor initial;
  private @Nullable Tensor dFinal;
  private Tensor made;
  private Tensor madeStates;
  private Tensor madeLog;

  /** What is wanted of the GPU; the reference makes all. */
  enum Wanted {
    ALL,
    ALL_AND_DECAY,
    QUERIES,
    KEYS_AND_VALUES,
    STATES
  }

  /** B rows of T tokens, or with bounds one row of packed sequences. */
  GpuGradients(
      Gpu gpu,
      MemoryScope scope,
      DType type,
      int[] rowsAndTokens,
      int[] channels,
      Options options,
      double[] slopes,
      int... bounds) {
    this.gpu = gpu;
    this.scope = scope;
    this.slopes = slopes;
    this.options = options;
    this.dk = channels[0];
    this.dv = channels[1];
    int b = rowsAndTokens[0];
    int t = rowsAndTokens[1];
    fused = normal(1, type, b, t, slopes.length, 2 * dk + dv);
    dOut = normal(2, type, b, t, slopes.length, dv);
    boolean packed = bounds.length > 0;
    offsets = packed ? scope.add(Tensor.of(bounds, bounds.length)) : null;
    stateShape = new long[] {packed ? bounds.length - 1 : b, slopes.length, dk, dv};
  }

  /** With initial states, and a loss that depends on the final ones. */
  GpuGradients withStates() {
    initial = normal(3, DType.F32, stateShape);
    dFinal = normal(4, DType.F32, stateShape);
    return this;
  }

  private Tensor normal(long seed, DType type, long... shape) {
    return scope.add(Cases.normal(seed, type, shape));
  }

  private Tensor doubles(Tensor x) {
    return scope.add(Cases.widened(x));
  }

  private Tensor there(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  private @Nullable Tensor thereOrNull(@Nullable Tensor host) {
    return host == null ? null : there(host);
  }

  private Tensor q(Tensor x) {
    return x.narrow(3, 0, dk);
  }

  private Tensor k(Tensor x) {
    return x.narrow(3, dk, dk);
  }

  private Tensor v(Tensor x) {
    return x.narrow(3, 2L * dk, dv);
  }

  /** The rates, which the GPU and the reference have alike. */
  private float[] rates() {
    float[] rates = new float[slopes.length];
    for (int h = 0; h < rates.length; h++) {
      rates[h] = (float) -slopes[h];
    }
    return rates;
  }

  /** Makes gradients of a type on the GPU. */
  GpuGradients run(DType type, Wanted wanted) {
    Tensor x = there(fused);
    made = gpu.allocate(type, fused.shape());
    gpu.stream().clear(made);
    madeStates = gpu.allocate(DType.F32, stateShape);
    madeLog = gpu.allocate(DType.F32, slopes.length);
    Gradients g = new Gradients(there(dOut));
    boolean all = wanted.compareTo(Wanted.ALL_AND_DECAY) <= 0;
    if (all || wanted == Wanted.QUERIES) {
      g.outDq(q(made));
    }
    if (all || wanted == Wanted.KEYS_AND_VALUES) {
      g.outDkDv(k(made), v(made));
    }
    if (all || wanted == Wanted.STATES) {
      g.outDInitialState(madeStates);
    }
    if (dFinal != null) {
      g.dFinalState(there(dFinal));
    }
    Tensor bounds = thereOrNull(offsets);
    Tensor scratch = null;
    if (wanted == Wanted.ALL_AND_DECAY) {
      g.outDLogDecay(madeLog);
      long floats = CudaLightningAttention.backwardScratchElements(k(x), v(x), bounds);
      scratch = gpu.allocate(DType.F32, floats);
    }
    CudaLightningAttention.on(gpu.stream())
        .backward(
            q(x),
            k(x),
            v(x),
            gpu.up(Tensor.of(rates(), slopes.length)),
            options,
            thereOrNull(initial),
            bounds,
            g,
            scratch);
    return this;
  }

  /** The gradients of q, k and v as they came from the GPU, one behind the other. */
  double[] rows(int from, int channels) {
    return gpu.down(made).narrow(3, from, channels).toDoubles();
  }

  /** The gradients of the initial states as they came from the GPU. */
  double[] states() {
    return gpu.doubles(madeStates);
  }

  /** Holds what the GPU made against the reference: NMSE of each gradient. */
  void assertClose(double limit, double decayLimit) {
    Tensor exact = scope.allocate(DType.F64, fused.shape());
    Tensor exactStates = scope.allocate(DType.F64, stateShape);
    Tensor exactLog = scope.allocate(DType.F64, slopes.length);
    double[] exactSlopes = new double[slopes.length];
    for (int h = 0; h < exactSlopes.length; h++) {
      exactSlopes[h] = -rates()[h];
    }
    Tensor x = doubles(fused);
    Prefill pass = new Prefill(q(x), k(x), v(x), Decay.ofSlopes(exactSlopes), options);
    Gradients g = new Gradients(doubles(dOut)).outDq(q(exact)).outDkDv(k(exact), v(exact));
    g.outDInitialState(exactStates).outDLogDecay(exactLog);
    if (initial != null && dFinal != null) {
      pass.initialState(doubles(initial));
      g.dFinalState(doubles(dFinal));
    }
    if (offsets != null) {
      pass.packed(offsets);
    }
    LightningAttention.of(Backend.REFERENCE).backward(pass, g);
    String what = " of " + dk + " x " + dv + ", " + fused;
    Closeness.assertNmse("dq" + what, rows(0, dk), q(exact).toDoubles(), limit);
    Closeness.assertNmse("dk" + what, rows(dk, dk), k(exact).toDoubles(), limit);
    Closeness.assertNmse("dv" + what, rows(2 * dk, dv), v(exact).toDoubles(), limit);
    Closeness.assertNmse("states" + what, states(), exactStates.toDoubles(), limit);
    if (decayLimit > 0) {
      // A sum over pairs of tokens times their distance, of either sign.
      double typical = (double) fused.size(1) * fused.size(1) * dk * dv;
      Closeness.assertNmse(
          "decay" + what, gpu.doubles(madeLog), exactLog.toDoubles(), decayLimit, typical);
    }
  }
}
