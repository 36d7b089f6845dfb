package io.github.lightning4j.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.attention.GpuGradients.Wanted;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Gpu;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels of {@code lightning_backward*.cu} against the reference. */
@RequiresCuda
final class CudaLightningBackwardDeviceTest {
  /** A head that forgets within a few tokens, and one that hardly does. */
  private static final double[] SLOPES = {0.917, 0.0009};

  /** Scores, states, SiLU and results have 2^-9 of rounding each. */
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

  private GpuGradients rows(DType type, int b, int t, int dk, int dv, Options options) {
    int[] size = {b, t};
    return new GpuGradients(gpu, scope, type, size, new int[] {dk, dv}, options, SLOPES);
  }

  private GpuGradients packed(DType type, int dk, int dv, int... bounds) {
    int[] size = {1, bounds[bounds.length - 1]};
    Options options = new Options(0.5f, false);
    return new GpuGradients(gpu, scope, type, size, new int[] {dk, dv}, options, SLOPES, bounds);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 15, 16, 17, 63, 64, 65, 130})
  void makesGradientsByChunksForAnyLength(int t) {
    rows(DType.BF16, 2, t, 32, 48, new Options(0.3f, true))
        .withStates()
        .run(DType.F32, Wanted.ALL_AND_DECAY)
        .assertClose(CHUNKS, 1e-4);
  }

  @ParameterizedTest
  @CsvSource({"130, 128, 128, true", "20, 144, 16, false"})
  void makesGradientsByChunksForHeadsOfAllSizes(int t, int dk, int dv, boolean silu) {
    rows(DType.BF16, 1, t, dk, dv, new Options(0.25f, silu))
        .run(DType.BF16, Wanted.ALL)
        .assertClose(CHUNKS, 0);
  }

  @Test
  void makesGradientsOfPackedSequences() {
    int[] bounds = {0, 5, 5, 70, 134, 263};
    packed(DType.BF16, 64, 64, bounds)
        .withStates()
        .run(DType.BF16, Wanted.ALL_AND_DECAY)
        .assertClose(CHUNKS, 1e-4);
    packed(DType.F32, 5, 3, bounds)
        .withStates()
        .run(DType.F32, Wanted.ALL_AND_DECAY)
        .assertClose(TOKENS, TOKENS);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 70})
  void goesTokenByTokenWhereChunksDoNotFit(int t) {
    rows(DType.BF16, 2, t, 33, 20, new Options(0.3f, true))
        .withStates()
        .run(DType.F32, Wanted.ALL_AND_DECAY)
        .assertClose(TOKENS, TOKENS);
  }

  @ParameterizedTest
  @CsvSource({"BF16, 16", "F16, 5"})
  void leavesOutWhatIsNotWanted(DType type, int d) {
    GpuGradients scene = rows(type, 1, 70, d, d, Options.DEFAULT).withStates();
    scene.run(DType.F32, Wanted.ALL);
    double[] dq = scene.rows(0, d);
    double[] others = scene.rows(d, 2 * d);
    double[] states = scene.states();
    scene.run(DType.F32, Wanted.QUERIES);
    assertThat(scene.rows(0, d)).isEqualTo(dq);
    assertThat(scene.rows(d, 2 * d)).containsOnly(0);
    scene.run(DType.F32, Wanted.KEYS_AND_VALUES);
    assertThat(scene.rows(0, d)).containsOnly(0);
    assertThat(scene.rows(d, 2 * d)).isEqualTo(others);
    scene.run(DType.F32, Wanted.STATES);
    assertThat(scene.rows(0, 3 * d)).containsOnly(0);
    assertThat(scene.states()).isEqualTo(states);
  }

  @Test
  void forgetsSlowlyAsExactlyAsItShould() {
    int t = 5000;
    double slope = 5e-5;
    Tensor ones = Tensor.allocate(DType.BF16, 1, t, 1, 16);
    for (int i = 0; i < t * 16; i++) {
      ones.accessor().set(i, 1);
    }
    Tensor x = gpu.up(ones);
    Tensor dInitial = gpu.allocate(DType.F32, 1, 1, 16, 16);
    Tensor rate = gpu.up(Tensor.of(new float[] {(float) -slope}, 1));
    CudaLightningAttention.on(gpu.stream())
        .backward(
            x,
            x,
            x,
            rate,
            Options.DEFAULT,
            null,
            null,
            new Gradients(x).outDInitialState(dInitial),
            null);
    double expected = Math.exp(-slope) * Math.expm1(-slope * t) / Math.expm1(-slope);
    // In one bf16 part the decay within a chunk would be rounded away, for 1e-4.
    assertThat(gpu.doubles(dInitial)[0]).isCloseTo(expected, Offset.offset(1e-5 * expected));
  }

  @Test
  void refusesWhatDoesNotFit() {
    Tensor q = gpu.normal(1, DType.BF16, 1, 4, 2, 16);
    Tensor rates = gpu.up(Tensor.of(new float[] {-1, -1}, 2));
    Tensor log = gpu.allocate(DType.F32, 2);
    Tensor[] out = new Tensor[3];
    for (int i = 0; i < out.length; i++) {
      out[i] = gpu.allocate(DType.BF16, 1, 4, 2, 16);
    }
    assertRefused(q, rates, new Gradients(q), null, "gradients: expected at least one");
    assertRefused(q, rates, new Gradients(q).outDq(q), null, "outDq: must not overlap q");
    assertRefused(
        q,
        rates,
        new Gradients(q).outDq(gpu.allocate(DType.F32, 1, 4, 2, 16)).outDkDv(out[1], out[2]),
        null,
        "outDk: expected dtype F32 as the other gradients have, got BF16");
    assertRefused(
        q,
        rates,
        new Gradients(q).outDq(out[0]).outDLogDecay(log),
        null,
        "outDLogDecay: needs the gradients of q, k and v too");
    Gradients all = new Gradients(q).outDq(out[0]).outDkDv(out[1], out[2]).outDLogDecay(log);
    assertRefused(q, rates, all, null, "scratch: outDLogDecay needs 2056 floats");
    assertRefused(
        q, rates, all, gpu.allocate(DType.F32, 2055), "scratch: expected at least 2056 floats");
    assertRefused(
        q,
        rates,
        new Gradients(q).outDq(out[0]).dFinalState(log),
        null,
        "dFinalState: expected 4 dimensions");
  }

  private void assertRefused(
      Tensor q, Tensor rates, Gradients gradients, Tensor scratch, String message) {
    assertThatThrownBy(
            () ->
                CudaLightningAttention.on(gpu.stream())
                    .backward(q, q, q, rates, Options.DEFAULT, null, null, gradients, scratch))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining(message);
  }
}
