package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.cuda.CudaGraph;
import io.github.lightning4j.core.cuda.CudaMemory;
import io.github.lightning4j.core.quant.QuantFormat;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The kernels of the gradients of experts and router against the formulas in double. */
@RequiresCuda
final class CudaMixtureBackwardDeviceTest {
  private static CudaGradientScene scene(int tokens, int hidden, int inner, int experts, int k) {
    return new CudaGradientScene(new CudaScene(tokens, hidden, inner, experts, k, null), DType.F32);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 8, 8, 1, 1",
    "2, 40, 24, 3, 2",
    "16, 72, 136, 3, 3",
    "5, 136, 72, 8, 2",
    "131, 136, 72, 2, 2"
  })
  void followsTheFormulas(int tokens, int hidden, int inner, int experts, int k) {
    try (CudaGradientScene of = scene(tokens, hidden, inner, experts, k)) {
      of.backward().assertMatches(tokens + " x " + hidden + " x " + inner);
    }
  }

  @Test
  void agreesWithTheReferenceAndRoundsTokensToBf16() {
    try (CudaGradientScene of =
        new CudaGradientScene(new CudaScene(9, 40, 24, 4, 2, null), DType.BF16)) {
      of.backward().assertMatches("bf16");
      Mixture wide = of.scene.scope.add(new Mixture(9, 40, 24, 4, 2, DType.F32));
      wide.x.copyFrom(of.scene.x);
      MixtureGradients expected = new MixtureGradients(wide);
      expected.dOut.copyFrom(of.scene.gpu.down(of.dOut));
      MixtureOfExperts.of(Backend.REFERENCE)
          .backward(
              wide.x,
              of.scene.experts,
              of.scene.index,
              of.scene.weight,
              expected.dOut,
              expected.dx,
              expected.dWeight,
              expected.dGate,
              expected.dUp,
              expected.dDown);
      double[][] actual = of.results();
      Closeness.assertNmse("dx", actual[0], expected.dx.toDoubles(), 2e-5);
      Closeness.assertNmse("dWeight", actual[1], expected.dWeight.toDoubles(), 1e-9);
      for (int e = 0; e < 4; e++) {
        double[] own = Arrays.copyOfRange(actual[4], e * 960, (e + 1) * 960);
        Closeness.assertNmse("dW2 " + e, own, expected.dDown.get(e).toDoubles(), 2e-5);
      }
    }
  }

  @Test
  void isZeroForExpertsWithoutTokensAndForNoTokens() {
    CudaScene crowded = new CudaScene(20, 24, 16, 4, 1, null).sendAllTo(2);
    try (CudaGradientScene of = new CudaGradientScene(crowded, DType.F32)) {
      of.backward().assertMatches("all to one");
      for (double[] all : Arrays.copyOfRange(of.results(), 2, 5)) {
        for (int e = 0; e < 4; e++) {
          double[] own = Arrays.copyOfRange(all, e * 384, (e + 1) * 384);
          if (e == 2) {
            assertThat(own).doesNotContain(0);
          } else {
            assertThat(own).containsOnly(0);
          }
        }
      }
    }
    try (CudaGradientScene of = scene(0, 24, 16, 2, 1)) {
      for (double[] all : Arrays.copyOfRange(of.backward().results(), 2, 5)) {
        assertThat(all).hasSize(768).containsOnly(0);
      }
    }
  }

  @Test
  void showsWhatIsNotANumber() {
    CudaScene spoilt = new CudaScene(6, 24, 16, 3, 1, null);
    for (int t = 0; t < 6; t++) {
      spoilt.logits.accessor().set(t * 3 + t % 2, 50); // experts 0 and 1 in turns
    }
    spoilt.x.accessor().set(24 + 7, Double.NaN);
    try (CudaGradientScene of = new CudaGradientScene(spoilt, DType.F32)) {
      double[][] all = of.backward().results();
      for (int t = 0; t < 6; t++) {
        double[] row = Arrays.copyOfRange(all[0], t * 24, (t + 1) * 24);
        if (t == 1) {
          assertThat(row).containsOnly(Double.NaN);
        } else {
          assertThat(row).doesNotContain(Double.NaN);
        }
      }
      assertThat(Arrays.copyOfRange(all[2], 384, 768)).containsOnly(Double.NaN);
      assertThat(Arrays.copyOfRange(all[2], 0, 384)).doesNotContain(Double.NaN);
      assertThat(Arrays.copyOfRange(all[2], 768, 1152)).containsOnly(0);
    }
  }

  @Test
  void repeatsItsBitsInAGraphAndTakesNoMemory() {
    try (CudaGradientScene of = scene(30, 72, 40, 4, 2)) {
      double[][] first = of.backward().results();
      long before = CudaMemory.liveBytes();
      try (CudaGraph graph = CudaGraph.capture(of.scene.gpu.stream(), of::backward)) {
        of.scene.gpu.stream().clear(of.gradients.outDGate());
        graph.launch(of.scene.gpu.stream());
        of.scene.gpu.stream().synchronize();
      }
      assertThat(CudaMemory.liveBytes()).isEqualTo(before);
      assertThat(of.results()).isDeepEqualTo(first);
    }
  }

  @Test
  void takesGradientsThroughTheRouter() {
    int experts = 33;
    for (RouterOptions options : RouterOptionsContract.scores(3)) {
      CudaScene scene = new CudaScene(9, 8, 8, experts, options, null);
      try (CudaGradientScene of = new CudaGradientScene(scene, DType.F32)) {
        Tensor d = scene.scope.add(Cases.normal(5, DType.F32, 9, 3));
        Tensor wide = scene.gpu.allocate(DType.F32, 9, experts + 3);
        Tensor out = wide.narrow(1, 0, experts);
        of.operator().router(of.logits, options, scene.workspace, scene.up(d), out);
        Router router = Router.of(Backend.REFERENCE);
        router.route(scene.logits, options, null, scene.index, scene.weight);
        Tensor expected = scene.scope.allocate(DType.F32, 9, experts);
        router.backward(scene.logits, options, scene.index, d, expected);
        Closeness.assertNmse(
            options.toString(), scene.gpu.doubles(out), expected.toDoubles(), 1e-11);
      }
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (CudaGradientScene of = scene(3, 16, 8, 4, 2)) {
      CudaScene s = of.scene;
      CudaMixtureBackward operator = of.operator();
      CudaExpertGradients g = of.gradients;
      Tensor f32 = s.gpu.allocate(DType.F32, 3, 16);
      assertThatThrownBy(() -> operator.experts(of.x, s.weights, s.workspace, f32, of.scratch, g))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage("dOut: expected dtype in [BF16], got F32");
      assertThatThrownBy(() -> operator.experts(of.x, s.weights, s.workspace, of.dOut, f32, g))
          .hasMessageStartingWith("scratch: expected shape [54]");
      Tensor odd = s.gpu.allocate(DType.F32, 55).narrow(0, 1, 54);
      assertThatThrownBy(() -> operator.experts(of.x, s.weights, s.workspace, of.dOut, odd, g))
          .hasMessageStartingWith("scratch: expected memory at a multiple of 16 bytes");
      CudaExpertGradients over =
          new CudaExpertGradients(of.x, g.outDWeight(), g.outDGate(), g.outDUp(), g.outDDown());
      assertThatThrownBy(
              () -> operator.experts(of.x, s.weights, s.workspace, of.dOut, of.scratch, over))
          .hasMessageStartingWith("outDx: must not overlap x");
      CudaExpertGradients same =
          new CudaExpertGradients(
              g.outDx(), g.outDWeight(), g.outDGate(), g.outDGate(), g.outDDown());
      assertThatThrownBy(
              () -> operator.experts(of.x, s.weights, s.workspace, of.dOut, of.scratch, same))
          .hasMessageStartingWith("outDUp: must not overlap outDGate");
      Tensor d = s.gpu.allocate(DType.F32, 3, 2);
      assertThatThrownBy(() -> operator.router(of.logits, s.options, s.workspace, d, of.logits))
          .hasMessageStartingWith("outDLogits: must not overlap logits");
      assertThatThrownBy(
              () ->
                  operator.router(of.logits, RouterOptions.topK(3), s.workspace, d, s.up(s.logits)))
          .hasMessageStartingWith("workspace: expected room for 3 tokens with 3 choices");
    }
    try (CudaGradientScene of =
        new CudaGradientScene(new CudaScene(3, 16, 8, 4, 2, QuantFormat.int4(32)), DType.F32)) {
      assertThatThrownBy(of::backward)
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "weights: quantized experts have no gradients; pass the BF16 ExpertWeights they were"
                  + " made from");
    }
  }
}
