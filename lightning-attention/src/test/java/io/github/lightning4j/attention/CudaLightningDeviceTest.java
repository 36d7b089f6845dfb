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
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The kernels of {@code lightning_*.cu} against the reference. */
@RequiresCuda
final class CudaLightningDeviceTest {
  /** A head that forgets within a few tokens, and one that hardly does. */
  private static final double[] SLOPES = {0.917, 0.004};

  private static final int HEADS = SLOPES.length;

  private Gpu gpu;
  private MemoryScope scope;
  private final LightningAttention reference = LightningAttention.of(Backend.REFERENCE);
  private final Decay decay = Decay.ofSlopes(SLOPES);

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

  private Tensor there(Tensor host) {
    Tensor there = gpu.allocate(host.dtype(), host.shape());
    gpu.stream().copy(host, there);
    return there;
  }

  private Tensor logDecay() {
    return gpu.up(Tensor.of(new float[] {(float) -SLOPES[0], (float) -SLOPES[1]}, HEADS));
  }

  private Tensor normal(long seed, DType type, long... shape) {
    return scope.add(Cases.normal(seed, type, shape));
  }

  private Tensor doubles(Tensor x) {
    return scope.add(Cases.widened(x));
  }

  /** Everything of one comparison on the host; states in double beside. */
  private final class Scene {
    final Tensor q;
    final Tensor k;
    final Tensor v;
    final Tensor pool;
    final Tensor exactPool;
    final Tensor exactOut;
    final Options options;

    Scene(DType type, int b, int t, int dk, int dv, int states, Options options) {
      q = normal(1, type, b, t, HEADS, dk);
      k = normal(2, type, b, t, HEADS, dk);
      v = normal(3, type, b, t, HEADS, dv);
      pool = normal(4, DType.F32, states, HEADS, dk, dv);
      exactPool = doubles(pool);
      exactOut = scope.allocate(DType.F64, b, t, HEADS, dv);
      this.options = options;
    }

    Prefill exact() {
      return new Prefill(doubles(q), doubles(k), doubles(v), decay, options, exactOut)
          .state(exactPool);
    }
  }

  @ParameterizedTest
  @EnumSource(names = {"F32", "BF16", "F16"})
  void decodesOnStatesPickedFromAPool(DType type) {
    int[][] sizes = {{1, 1}, {3, 2}, {8, 9}, {33, 31}, {64, 64}, {127, 65}, {128, 128}};
    for (int[] size : sizes) {
      Scene scene = new Scene(type, 3, 1, size[0], size[1], 4, new Options(0.5f, true));
      Tensor slots = scope.add(Tensor.of(new int[] {2, -1, 0}, 3));
      reference.prefill(scene.exact().slots(slots));
      Tensor pool = there(scene.pool);
      Tensor out = gpu.allocate(DType.F32, 3, HEADS, size[1]);
      CudaLightningAttention.on(gpu.stream())
          .decode(
              there(scene.q).select(1, 0),
              there(scene.k).select(1, 0),
              there(scene.v).select(1, 0),
              logDecay(),
              scene.options,
              pool,
              there(slots),
              out);
      String what = type + " " + size[0] + "x" + size[1];
      Closeness.assertNmse(what, gpu.doubles(out), scene.exactOut.toDoubles(), 1e-11);
      Closeness.assertNmse(what, gpu.doubles(pool), scene.exactPool.toDoubles(), 1e-11);
      double[] skipped = gpu.down(out.select(0, 1)).toDoubles();
      assertThat(skipped).containsOnly(0);
      assertThat(gpu.down(pool.select(0, 1)).toFloats())
          .isEqualTo(scene.pool.select(0, 1).toFloats());
    }
  }

  @Test
  void runsTokenByTokenWhereChunksDoNotFit() {
    for (int t : new int[] {1, 2, 7, 33}) {
      Scene scene = new Scene(DType.F32, 2, t, 33, 20, 2, Options.DEFAULT);
      reference.prefill(scene.exact());
      Tensor pool = there(scene.pool);
      Tensor out = gpu.allocate(DType.F32, 2, t, HEADS, 20);
      CudaLightningAttention.on(gpu.stream())
          .prefill(
              there(scene.q),
              there(scene.k),
              there(scene.v),
              logDecay(),
              scene.options,
              pool,
              null,
              null,
              out);
      Closeness.assertNmse("out " + t, gpu.doubles(out), scene.exactOut.toDoubles(), 1e-11);
      Closeness.assertNmse("state " + t, gpu.doubles(pool), scene.exactPool.toDoubles(), 1e-11);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "16, 16, 16, false",
    "63, 32, 48, true",
    "64, 64, 64, true",
    "65, 64, 32, false",
    "129, 80, 64, true",
    "200, 128, 128, true"
  })
  void runsPromptsByChunks(int t, int dk, int dv, boolean silu) {
    Scene scene = new Scene(DType.BF16, 2, t, dk, dv, 3, new Options(0.25f, silu));
    Tensor slots = scope.add(Tensor.of(new int[] {2, 0}, 2));
    reference.prefill(scene.exact().slots(slots));
    for (DType type : new DType[] {DType.F32, DType.BF16}) {
      Tensor pool = there(scene.pool);
      Tensor out = gpu.allocate(type, 2, t, HEADS, dv);
      CudaLightningAttention.on(gpu.stream())
          .prefill(
              there(scene.q),
              there(scene.k),
              there(scene.v),
              logDecay(),
              scene.options,
              pool,
              there(slots),
              null,
              out);
      // Scores, SiLU and bf16 outputs have 2^-9 of rounding each; the state has that of SiLU.
      Closeness.assertNmse("out", gpu.doubles(out), scene.exactOut.toDoubles(), 2e-5);
      double limit = silu ? 2e-5 : 2e-9;
      Closeness.assertNmse("state", gpu.doubles(pool), scene.exactPool.toDoubles(), limit);
      assertThat(gpu.down(pool.select(0, 1)).toFloats())
          .isEqualTo(scene.pool.select(0, 1).toFloats());
    }
  }

  @Test
  void runsPackedSequencesOfViewsOfOneProjection() {
    int d = 32;
    int[] bounds = {0, 5, 5, 70, 135};
    int tokens = bounds[4];
    Tensor fused = normal(1, DType.BF16, 1, tokens, HEADS, 3 * d);
    Tensor pool = normal(2, DType.F32, 5, HEADS, d, d);
    Tensor slots = scope.add(Tensor.of(new int[] {4, 1, -1, 0}, 4));
    Tensor offsets = scope.add(Tensor.of(bounds, 5));
    Tensor exactPool = doubles(pool);
    Tensor wide = doubles(fused);
    Tensor exactOut = scope.allocate(DType.F64, 1, tokens, HEADS, d);
    reference.prefill(
        new Prefill(
                wide.narrow(3, 0, d),
                wide.narrow(3, d, d),
                wide.narrow(3, 2 * d, d),
                decay,
                Options.DEFAULT,
                exactOut)
            .state(exactPool)
            .packed(offsets)
            .slots(slots));
    Tensor there = there(fused);
    Tensor poolThere = there(pool);
    Tensor out = gpu.allocate(DType.F32, 1, tokens, HEADS, d);
    CudaLightningAttention.on(gpu.stream())
        .prefill(
            there.narrow(3, 0, d),
            there.narrow(3, d, d),
            there.narrow(3, 2 * d, d),
            logDecay(),
            Options.DEFAULT,
            poolThere,
            there(slots),
            there(offsets),
            out);
    Closeness.assertNmse("out", gpu.doubles(out), exactOut.toDoubles(), 1e-5);
    Closeness.assertNmse("pool", gpu.doubles(poolThere), exactPool.toDoubles(), 2e-9);
  }

  @ParameterizedTest
  @CsvSource({"1, F32, 5000, 4e-6", "16, BF16, 20000, 1e-5"})
  void forgetsSlowlyAsExactlyAsItShould(int d, DType type, int t, double limit) {
    double slope = 5e-5;
    Tensor ones = Tensor.allocate(type, 1, t, 1, d);
    for (int i = 0; i < t * d; i++) {
      ones.accessor().set(i, 1);
    }
    Tensor x = gpu.up(ones);
    Tensor pool = gpu.up(Tensor.allocate(DType.F32, 1, 1, d, d));
    Tensor out = gpu.allocate(DType.F32, 1, t, 1, d);
    Tensor rate = gpu.up(Tensor.of(new float[] {(float) -slope}, 1));
    CudaLightningAttention.on(gpu.stream())
        .prefill(x, x, x, rate, Options.DEFAULT, pool, null, null, out);
    double expected = Math.expm1(-slope * t) / Math.expm1(-slope);
    assertThat(gpu.doubles(pool)[0]).isCloseTo(expected, Offset.offset(limit * expected));
  }

  @Test
  void refusesWhatDoesNotFit() {
    Tensor q = gpu.normal(1, DType.BF16, 1, 4, HEADS, 16);
    Tensor pool = gpu.normal(2, DType.F32, 1, HEADS, 16, 16);
    CudaLightningAttention attention = CudaLightningAttention.on(gpu.stream());
    Tensor rates = logDecay();
    Tensor out = gpu.allocate(DType.BF16, 1, 4, HEADS, 16);
    assertThatThrownBy(
            () -> attention.prefill(q, q, q, rates, Options.DEFAULT, pool, null, null, q))
        .hasMessageContaining("expected memory of its own");
    assertThatThrownBy(
            () ->
                attention.prefill(
                    q, q, q, rates, Options.DEFAULT, pool.narrow(0, 0, 0), null, null, out))
        .hasMessage("statePool: expected shape [1, 2, 16, 16], got [0, 2, 16, 16]");
    Tensor host = normal(1, DType.BF16, 1, 4, HEADS, 16);
    assertThatThrownBy(
            () -> attention.prefill(q, host, q, rates, Options.DEFAULT, pool, null, null, out))
        .hasMessage("k: expected a tensor on cuda:0, as the stream is, got BF16[1, 4, 2, 16]@cpu");
  }
}
