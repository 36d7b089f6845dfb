package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The kernels of {@code lightning_backward*.cu} against the reference. */
@RequiresCuda
final class CudaLightningBackwardDeviceTest {
  /** What rounding to bf16 within chunks costs: 2^-9 each of scores, states, SiLU and results. */
  private static final double CHUNKS = 2e-5;

  private static final double TOKENS = 1e-10;

  private Gpu gpu;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    gpu = new Gpu();
    scope = new MemoryScope();
  }

  @AfterEach
  void close() {
    scope.close();
    gpu.close();
  }

  /** One pass on the host, its exact gradients, and the same on the GPU. */
  private final class Scene {
    final double[] slopes;
    final Options options;
    final int dk;
    final int dv;
    final Tensor fused;
    final Tensor dOut;
    @Nullable Tensor initial;
    @Nullable Tensor dFinal;
    @Nullable Tensor offsets;
    final int sequences;
    final Tensor exact;
    Tensor exactStates;
    final Tensor exactLog;
    Tensor made;
    Tensor madeStates;
    Tensor madeLog;

    /** B rows of T tokens, or with bounds one row of packed sequences. */
    Scene(DType type, int b, int t, int dk, int dv, Options options, double[] slopes, int... bounds) {
      this.slopes = slopes;
      this.options = options;
      this.dk = dk;
      this.dv = dv;
      int heads = slopes.length;
      fused = normal(1, type, b, t, heads, 2 * dk + dv);
      dOut = normal(2, type, b, t, heads, dv);
      sequences = bounds.length == 0 ? b : bounds.length - 1;
      if (bounds.length > 0) {
        offsets = scope.add(Tensor.of(bounds, bounds.length));
      }
      exact = scope.allocate(DType.F64, fused.shape());
      exactLog = scope.allocate(DType.F64, heads);
      exactStates = scope.allocate(DType.F64, sequences, heads, dk, dv);
    }

    Scene withStates() {
      initial = normal(3, DType.F32, exactStates.shape());
      dFinal = normal(4, DType.F32, exactStates.shape());
      return this;
    }

    private Tensor normal(long seed, DType type, long... shape) {
      return scope.add(Cases.normal(seed, type, shape));
    }

    private Tensor doubles(Tensor x) {
      return scope.add(Cases.widened(x));
    }

    Tensor q(Tensor x) {
      return x.narrow(3, 0, dk);
    }

    Tensor k(Tensor x) {
      return x.narrow(3, dk, dk);
    }

    Tensor v(Tensor x) {
      return x.narrow(3, 2L * dk, dv);
    }

    Gradients wanted(Tensor gradient, Tensor dOutput, Tensor states, @Nullable Tensor log) {
      Gradients g =
          new Gradients(dOutput)
              .outDq(q(gradient))
              .outDkDv(k(gradient), v(gradient))
              .outDInitialState(states);
      return log == null ? g : g.outDLogDecay(log);
    }

    Scene makeExact() {
      Tensor wide = doubles(fused);
      Prefill pass = new Prefill(q(wide), k(wide), v(wide), Decay.ofSlopes(rounded()), options);
      Gradients g = wanted(exact, doubles(dOut), exactStates, exactLog);
      if (initial != null && dFinal != null) {
        pass.initialState(doubles(initial));
        g.dFinalState(doubles(dFinal));
      }
      if (offsets != null) {
        pass.packed(offsets);
      }
      LightningAttention.of(Backend.REFERENCE).backward(pass, g);
      return this;
    }

    /** The slopes as the GPU has them. */
    private double[] rounded() {
      double[] rounded = slopes.clone();
      for (int h = 0; h < rounded.length; h++) {
        rounded[h] = (float) rounded[h];
      }
      return rounded;
    }

    Tensor logDecay() {
      float[] rates = new float[slopes.length];
      for (int h = 0; h < rates.length; h++) {
        rates[h] = (float) -slopes[h];
      }
      return gpu.up(Tensor.of(rates, rates.length));
    }

    Scene run(DType type, boolean lag) {
      Tensor there = there(fused);
      made = gpu.allocate(type, fused.shape());
      madeStates = gpu.allocate(DType.F32, exactStates.shape());
      madeLog = gpu.allocate(DType.F32, slopes.length);
      Gradients g = wanted(made, there(dOut), madeStates, lag ? madeLog : null);
      if (dFinal != null) {
        g.dFinalState(there(dFinal));
      }
      Tensor bounds = offsets == null ? null : there(offsets);
      long floats = CudaLightningAttention.backwardScratchElements(k(there), v(there), bounds);
      CudaLightningAttention.on(gpu.stream())
          .backward(
              q(there),
              k(there),
              v(there),
              logDecay(),
              options,
              initial == null ? null : there(initial),
              bounds,
              g,
              lag ? gpu.allocate(DType.F32, floats) : null);
      return this;
    }

    void assertClose(double limit) {
      String what = " " + fused + " of " + dk + ", " + dv;
      double[] typical = {dv, dv, dk};
      Tensor[] actual = {q(made), k(made), v(made)};
      Tensor[] expected = {q(exact), k(exact), v(exact)};
      for (int i = 0; i < 3; i++) {
        Closeness.assertNmse(
            "gradient " + i + what,
            doublesOf(actual[i]),
            expected[i].toDoubles(),
            limit,
            i == 0 && initial == null ? 0 : typical[i]);
      }
      Closeness.assertNmse("states" + what, gpu.doubles(madeStates), exactStates.toDoubles(), limit);
    }

    void assertDecay(double limit) {
      Closeness.assertNmse("decay", gpu.doubles(madeLog), exactLog.toDoubles(), limit);
    }

    private double[] doublesOf(Tensor view) {
      Tensor all = gpu.down(made);
      return all.narrow(3, view == null ? 0 : offsetOf(view), view.size(3)).toDoubles();
    }

    private long offsetOf(Tensor view) {
      return (view.deviceAddress() - made.deviceAddress()) / made.dtype().bytes();
    }
  }

  private Tensor there(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  /** A head that forgets within a few tokens, and one that hardly does. */
  private static double[] slopes() {
    return new double[] {0.917, 0.0009};
  }

  @ParameterizedTest
  @CsvSource({
    "1, 16, 16, false",
    "2, 64, 64, false",
    "63, 32, 48, true",
    "64, 96, 16, false",
    "65, 64, 32, true",
    "130, 80, 64, false",
    "130, 128, 128, true"
  })
  void makesGradientsByChunks(int t, int dk, int dv, boolean silu) {
    Scene scene = new Scene(DType.BF16, 1, t, dk, dv, new Options(0.25f, silu), slopes());
    scene.withStates().makeExact();
    scene.run(DType.F32, true).assertClose(CHUNKS);
    scene.assertDecay(1e-4);
    scene.run(DType.BF16, false).assertClose(CHUNKS);
  }
}
