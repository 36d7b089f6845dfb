package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.kernel.WarpGroups;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Parts of a mixture that several ranks compute, against the whole of it on one. */
@RequiresCuda
final class CudaPartsDeviceTest {
  /** fp32 sums in another order. */
  private static final double LIMIT = 1e-13;

  /** Null stands for bf16. */
  static Stream<@Nullable QuantFormat> formats() {
    return Stream.of(null, QuantFormat.int8(), QuantFormat.int4(32));
  }

  /** The part of the experts {@code [first, end)}. */
  private static double[] part(CudaScene scene, int first, int end) {
    try (MemoryScope scope = new MemoryScope()) {
      CudaExpertWeights weights = scope.add(scene.someWeights(first, end));
      CudaMoeWorkspace workspace =
          scope.add(
              CudaMoeWorkspace.allocate(
                  weights, scene.experts.experts(), scene.tokens, scene.options.k()));
      Tensor out = scene.gpu.allocate(DType.F32, scene.tokens, scene.hidden);
      scene
          .mixture()
          .part(
              scene.up(scene.x),
              scene.up(scene.logits),
              scene.options,
              null,
              weights,
              first,
              workspace,
              out);
      return scene.gpu.doubles(out);
    }
  }

  private static void check(CudaScene scene, int... bounds) {
    double[] whole = scene.gpu.doubles(scene.run(DType.F32));
    double[] sum = new double[whole.length];
    for (int i = 0; i + 1 < bounds.length; i++) {
      double[] part = part(scene, bounds[i], bounds[i + 1]);
      IntStream.range(0, sum.length).forEach(j -> sum[j] += part[j]);
    }
    Closeness.assertNmse("sum of parts", sum, whole, LIMIT);
  }

  @ParameterizedTest
  @MethodSource("formats")
  void addUpToTheMixture(@Nullable QuantFormat format) {
    try (CudaScene few = new CudaScene(5, 72, 40, 7, 3, format)) {
      check(few, 0, 2, 3, 7);
    }
    try (CudaScene tiles = new CudaScene(67, 40, 24, 5, 2, format)) { // more than one block routes
      check(tiles, 0, 1, 5);
    }
  }

  /** Tiles of 128 tokens: more than 64 an expert on average, of which the middle has most. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void addUpOverLongTiles(boolean warpGroups) {
    System.setProperty(WarpGroups.PROPERTY, String.valueOf(warpGroups));
    try {
      for (QuantFormat format : new QuantFormat[] {null, QuantFormat.int4(32)}) {
        try (CudaScene scene = new CudaScene(200, 40, 24, 3, 1, format)) {
          for (int t = 0; t < 140; t++) {
            scene.logits.accessor().set(t * scene.logits.stride(0) + 1, 100);
          }
          check(scene, 0, 1, 2, 3);
        }
      }
    } finally {
      System.clearProperty(WarpGroups.PROPERTY);
    }
  }

  @Test
  void areZeroWithoutTokens() {
    for (int tokens : new int[] {3, 20}) {
      try (CudaScene scene = new CudaScene(tokens, 24, 16, 6, 1, null)) {
        scene.sendAllTo(4);
        assertThat(part(scene, 0, 4)).containsOnly(0);
        check(scene, 0, 4, 6);
      }
    }
  }

  @Test
  void keepWhatIsNotANumberInItsToken() {
    try (CudaScene scene = new CudaScene(3, 24, 16, 6, 2, null)) {
      scene.logits.accessor().set(6, Double.NaN);
      double[] low = part(scene, 0, 2);
      double[] high = part(scene, 2, 6);
      for (int i = 0; i < low.length; i++) {
        assertThat(Double.isNaN(low[i])).as("element %s", i).isEqualTo(i / 24 == 1);
        assertThat(high[i]).isNotNaN();
      }
    }
  }

  @Test
  void endWithTheResidual() {
    for (DType type : new DType[] {DType.F32, DType.BF16}) {
      try (CudaScene scene = new CudaScene(3, 40, 16, 4, 2, null)) {
        Tensor mixture = scene.run(DType.F32);
        Tensor wide = scene.gpu.normal(5, type, 3, 56);
        Tensor out = wide.narrow(1, 8, 40);
        double[] residual = scene.gpu.doubles(out);
        double[] sum = scene.gpu.doubles(mixture);
        double[] expected =
            IntStream.range(0, sum.length)
                .mapToDouble(i -> 3.5 * residual[i] - 0.25 * sum[i])
                .toArray();
        scene.mixture().addResidual(mixture, out, 3.5f, -0.25f, out);
        double limit = type == DType.F32 ? 1e-12 : 3e-6;
        Closeness.assertNmse("sum", scene.gpu.doubles(out), expected, limit);
      }
    }
  }

  @Test
  void refuseWhatDoesNotFit() {
    try (CudaScene scene = new CudaScene(2, 16, 8, 4, 2, null);
        CudaExpertWeights half = scene.someWeights(0, 2)) {
      Tensor out = scene.gpu.allocate(DType.F32, 2, 16);
      for (int first : new int[] {-1, 3}) {
        assertThatThrownBy(() -> part(scene, half, first, scene.workspace, out))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("first: expected 2 experts within the 4 of the logits");
      }
      try (CudaMoeWorkspace small = CudaMoeWorkspace.allocate(half, 2, 2)) {
        assertThatThrownBy(() -> part(scene, half, 0, small, out))
            .isInstanceOf(IllegalArgumentException.class)
            .hasMessageContaining("workspace: expected one for 4 experts");
      }
      assertThatThrownBy(() -> CudaMoeWorkspace.allocate(half, 1, 2, 1))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("experts: expected >= 2");
      assertThatThrownBy(() -> scene.mixture().addResidual(out, out.narrow(0, 0, 1), 1, 1, out))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("residual");
    }
  }

  private static void part(
      CudaScene scene, CudaExpertWeights weights, int first, CudaMoeWorkspace in, Tensor out) {
    scene
        .mixture()
        .part(
            scene.up(scene.x),
            scene.up(scene.logits),
            scene.options,
            null,
            weights,
            first,
            in,
            out);
  }
}
