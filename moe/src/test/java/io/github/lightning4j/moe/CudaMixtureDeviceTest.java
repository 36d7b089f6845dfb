package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Memory;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.cuda.CudaOutOfMemoryException;
import io.github.lightning4j.core.cuda.kernel.WarpGroups;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The kernels of {@code experts_*.cu} and {@code combine.cu} against the reference. */
@RequiresCuda
final class CudaMixtureDeviceTest {
  /** fp32 sums, and now and then a hidden row's element that they round to the other side. */
  private static final double LIMIT = 1e-7;

  /** Null stands for bf16. */
  static Stream<@Nullable QuantFormat> formats() {
    return Stream.of(
        null,
        QuantFormat.int8(),
        QuantFormat.int8(32),
        QuantFormat.int8(64),
        QuantFormat.int4(32),
        QuantFormat.int4(64),
        QuantFormat.int4(128));
  }

  private static void check(
      int tokens, int hidden, int inner, int experts, int k, @Nullable QuantFormat format) {
    try (CudaScene scene = new CudaScene(tokens, hidden, inner, experts, k, format)) {
      check(scene);
    }
  }

  private static void check(CudaScene scene) {
    String what =
        scene.tokens + " x " + scene.hidden + " " + scene.weights.format() + " " + scene.options;
    double[] exact = scene.expected(null);
    double[] rounded = scene.rounded();
    double[] actual = scene.gpu.doubles(scene.run(DType.F32));
    Closeness.assertNmse(what, actual, rounded, LIMIT);
    Closeness.assertNoWorseThanNaive(what, actual, rounded, exact);
    assertThat(scene.gpu.down(scene.workspace.index(scene.tokens)).toLongs())
        .isEqualTo(scene.index.toLongs());
  }

  @ParameterizedTest
  @MethodSource("formats")
  void mixesFewTokens(@Nullable QuantFormat format) {
    check(1, 8, 8, 1, 1, format);
    check(2, 40, 24, 3, 2, format);
    check(16, 136, 72, 3, 3, format);
    check(5, 264, 40, 8, 2, format);
    check(1, 1032, 16, 32, 2, format);
    check(9, 16, 544, 2, 1, format);
  }

  @ParameterizedTest
  @MethodSource("formats")
  void mixesTilesOfTokens(@Nullable QuantFormat format) {
    check(17, 72, 40, 1, 1, format);
    check(65, 136, 136, 3, 2, format);
    check(130, 40, 264, 2, 1, format);
    try (CudaScene scene = new CudaScene(66, 200, 8, 4, 1, format)) {
      check(scene.sendAllTo(2));
    }
  }

  /** With the property that chooses warp groups; where the GPU has none, it changes nothing. */
  private static void checkByWarpGroups(CudaScene scene) {
    System.setProperty(WarpGroups.PROPERTY, "true");
    try {
      check(scene);
    } finally {
      System.clearProperty(WarpGroups.PROPERTY);
    }
  }

  @ParameterizedTest
  @MethodSource("formats")
  void mixesTilesOfTokensByWarpGroups(@Nullable QuantFormat format) {
    // More than 64 tokens an expert on average.
    try (CudaScene scene = new CudaScene(70, 72, 136, 1, 1, format)) {
      checkByWarpGroups(scene);
    }
  }

  @Test
  void mixesExpertsOfDifferentLengthByWarpGroups() {
    for (QuantFormat format : new QuantFormat[] {null, QuantFormat.int8(), QuantFormat.int4(64)}) {
      try (CudaScene scene = new CudaScene(100, 136, 328, 3, 2, format)) {
        checkByWarpGroups(scene);
      }
    }
    for (QuantFormat format : new QuantFormat[] {null, QuantFormat.int4(32)}) {
      try (CudaScene scene = new CudaScene(200, 264, 40, 2, 1, format)) {
        checkByWarpGroups(scene.sendAllTo(1));
      }
    }
  }

  @Test
  void mixesManyExpertsOfWhichSomeHaveManyTokens() {
    check(65, 64, 48, 32, 2, null);
    try (CudaScene scene = new CudaScene(130, 24, 16, 8, 2, QuantFormat.int4(32))) {
      check(scene.sendAllTo(5));
    }
  }

  @Test
  void goesThroughWeightsOnceForSixteenTiles() {
    try (CudaScene scene = new CudaScene(1100, 8, 136, 32, 1, null)) {
      check(scene.sendAllTo(31));
    }
  }

  @Test
  void roundsOnceToBf16() {
    try (CudaScene scene = new CudaScene(20, 72, 40, 3, 2, null)) {
      double[] exact = scene.gpu.doubles(scene.run(DType.F32));
      Tensor rounded = scene.scope.allocate(DType.BF16, 20, 72);
      rounded.copyFrom(scene.scope.add(Tensor.of(exact, 20, 72)));
      assertThat(scene.gpu.doubles(scene.run(DType.BF16))).isEqualTo(rounded.toDoubles());
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"F32", "BF16"})
  void addsTheResidual(DType type) {
    try (CudaScene scene = new CudaScene(3, 40, 16, 4, 2, null)) {
      double[] mixture = scene.gpu.doubles(scene.run(DType.F32));
      Tensor wide = scene.gpu.normal(5, type, 3, 56);
      double[] before = scene.gpu.doubles(wide);
      double[] residual = scene.gpu.doubles(wide.narrow(1, 8, 40));
      double[] expected = new double[mixture.length];
      for (int i = 0; i < expected.length; i++) {
        expected[i] = 3.5f * residual[i] - 0.25f * mixture[i];
      }
      Tensor out = wide.narrow(1, 8, 40);
      scene
          .mixture()
          .forward(
              scene.up(scene.x),
              scene.up(scene.logits),
              scene.options,
              null,
              scene.weights,
              scene.workspace,
              out,
              3.5f,
              -0.25f,
              out);
      double limit = type == DType.F32 ? 1e-12 : 3e-6;
      Closeness.assertNmse("sum", scene.gpu.doubles(out), expected, limit);
      double[] after = scene.gpu.doubles(wide);
      for (int i = 0; i < after.length; i++) {
        boolean written = i % 56 >= 8 && i % 56 < 48;
        assertThat(after[i] == before[i]).as("element %s", i).isNotEqualTo(written);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {5, 40})
  void keepsWhatIsNotANumberInItsToken(int tokens) {
    try (CudaScene scene = new CudaScene(tokens, 24, 16, 3, 2, null)) {
      double[] clean = scene.gpu.doubles(scene.run(DType.F32));
      scene.x.accessor().set(24 + 7, Double.NaN);
      scene.logits.accessor().set(2 * 3 + 1, Double.NaN);
      scene.logits.accessor().set(3 * 3, Double.POSITIVE_INFINITY);
      for (int e = 0; e < 3; e++) {
        scene.logits.accessor().set(4 * 3 + e, Double.NEGATIVE_INFINITY);
      }
      Tensor out = scene.run(DType.F32);
      double[] broken = scene.gpu.doubles(out);
      for (int t = 0; t < tokens; t++) {
        double[] row = Arrays.copyOfRange(broken, t * 24, (t + 1) * 24);
        if (t >= 1 && t <= 4) {
          assertThat(row).as("token %s", t).containsOnly(Double.NaN);
        } else {
          double[] was = Arrays.copyOfRange(clean, t * 24, (t + 1) * 24);
          Closeness.assertNmse("token " + t, row, was, 1e-11);
        }
      }
      assertThat(scene.gpu.down(scene.workspace.index(tokens).narrow(0, 2, 3)).toLongs())
          .containsExactly(0, 1, 0, 1, 0, 1);
    }
  }

  @Test
  void runsInAGraphWithTheSameBitsForOtherTokens() {
    for (int tokens : new int[] {3, 70}) {
      try (CudaScene scene = new CudaScene(tokens, 40, 24, 8, 2, QuantFormat.int8())) {
        Tensor x = scene.up(scene.x);
        Tensor logits = scene.up(scene.logits);
        Tensor out = scene.gpu.allocate(DType.BF16, tokens, 40);
        Runnable call =
            () ->
                scene
                    .mixture()
                    .forward(x, logits, scene.options, null, scene.weights, scene.workspace, out);
        call.run();
        double[] first = scene.gpu.doubles(out);
        try (CudaGraph graph = CudaGraph.capture(scene.gpu.stream(), call)) {
          scene.sendAllTo(3);
          scene.gpu.stream().copy(scene.logits, logits);
          graph.launch(scene.gpu.stream());
          double[] second = scene.gpu.doubles(out);
          assertThat(second).isNotEqualTo(first);
          scene.expected(null);
          // rounded to bf16 once more
          Closeness.assertNmse("graph", second, scene.rounded(), 5e-6);
          call.run();
          assertThat(scene.gpu.doubles(out)).isEqualTo(second);
        }
      }
    }
  }

  @Test
  void leavesNoMemoryBehind() {
    long host = Memory.liveBytes();
    long device = CudaMemory.liveBytes();
    for (int i = 0; i < 2; i++) {
      try (CudaScene scene = new CudaScene(2, 16, 8, 4, 2, QuantFormat.int4(32))) {
        scene.run(DType.F32);
        long working = CudaMemory.liveBytes();
        Tensor x = scene.up(scene.x);
        Tensor logits = scene.up(scene.logits);
        Tensor out = scene.gpu.allocate(DType.F32, 2, 16);
        long before = CudaMemory.liveBytes();
        assertThat(before).isGreaterThan(working);
        for (int call = 0; call < 20; call++) {
          scene
              .mixture()
              .forward(x, logits, scene.options, null, scene.weights, scene.workspace, out);
        }
        assertThat(CudaMemory.liveBytes()).isEqualTo(before);
      }
    }
    assertThat(Memory.liveBytes()).isEqualTo(host);
    assertThat(CudaMemory.liveBytes()).isEqualTo(device);
  }

  @Test
  void givesBackWhatItHadWhereMemoryEnds() {
    try (CudaScene scene = new CudaScene(1, 64, 8, 4, 2, null)) {
      long before = CudaMemory.liveBytes();
      assertThatThrownBy(() -> CudaMoeWorkspace.allocate(scene.weights, Integer.MAX_VALUE / 2, 2))
          .isInstanceOf(CudaOutOfMemoryException.class);
      assertThat(CudaMemory.liveBytes()).isEqualTo(before);
    }
  }
}
