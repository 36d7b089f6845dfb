package io.github.lightning4j.moe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.core.testkit.Cases;
import io.github.lightning4j.core.testkit.Closeness;
import io.github.lightning4j.core.testkit.RequiresCuda;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

/** The kernels of {@code route.cu} against the reference, and what the facade refuses. */
@RequiresCuda
final class CudaRoutingDeviceTest {
  private static void check(CudaScene scene, @Nullable Tensor bias) {
    Router.of(Backend.REFERENCE)
        .route(scene.logits, scene.options, bias, scene.index, scene.weight);
    Tensor out = scene.gpu.allocate(DType.F32, scene.tokens, scene.hidden);
    Tensor there = bias == null ? null : scene.up(bias);
    scene
        .mixture()
        .forward(
            scene.up(scene.x),
            scene.up(scene.logits),
            scene.options,
            there,
            scene.weights,
            scene.workspace,
            out);
    String what = scene.tokens + " " + scene.options + (bias == null ? "" : " with bias");
    assertThat(scene.gpu.down(scene.workspace.index(scene.tokens)).toLongs())
        .as(what)
        .isEqualTo(scene.index.toLongs());
    Closeness.assertNmse(
        what,
        scene.gpu.doubles(scene.workspace.weight(scene.tokens)),
        scene.weight.toDoubles(),
        1e-12);
    DispatchPlan plan = new DispatchPlan();
    plan.build(scene.index, scene.experts.experts());
    int[] offsets = plan.offsets();
    long[] found = scene.gpu.down(scene.workspace.offsets()).toLongs();
    for (int e = 0; e < offsets.length; e++) {
      assertThat(found[e]).as("%s, expert %s", what, e).isEqualTo(offsets[e]);
    }
  }

  @Test
  void routesAsTheOptionsSay() {
    for (int experts : new int[] {4, 33}) {
      for (RouterOptions options : RouterOptionsContract.scores(3)) {
        for (int tokens : new int[] {1, 65}) {
          try (CudaScene scene = new CudaScene(tokens, 8, 8, experts, options, null)) {
            check(scene, null);
            check(scene, scene.scope.add(Cases.normal(9, DType.F32, experts)));
          }
        }
      }
    }
  }

  @Test
  void routesWithinTheBestGroups() {
    for (RouterOptions options : RouterOptionsContract.scores(4)) {
      for (int best : new int[] {1, 2}) {
        for (int[] groups : new int[][] {{8, 4}, {3, 1}}) {
          RouterOptions grouped = options.withGroups(groups[0], groups[1], best);
          if (groups[1] * 24 / groups[0] < 4) {
            continue;
          }
          try (CudaScene scene = new CudaScene(9, 8, 8, 24, grouped, null)) {
            check(scene, null);
            check(scene, scene.scope.add(Cases.normal(9, DType.F32, 24)));
          }
        }
      }
    }
  }

  @Test
  void sortsPairsOverManySegments() {
    for (int tokens : new int[] {64, 130, 257}) {
      try (CudaScene scene = new CudaScene(tokens, 8, 8, 40, 2, null)) {
        check(scene, null);
      }
    }
  }

  @Test
  void breaksTiesByTheLowestIndexAndTakesMinusInfinityLast() {
    try (CudaScene scene = new CudaScene(3, 8, 8, 40, 2, null)) {
      for (int e = 0; e < 40; e++) {
        scene.logits.accessor().set(e, 0);
        scene.logits.accessor().set(40 + e, e == 35 ? 1 : Double.NEGATIVE_INFINITY);
        scene.logits.accessor().set(80 + e, e == 33 || e == 39 ? 1 : 0);
      }
      check(scene, null);
      assertThat(scene.index.toLongs()).containsExactly(0, 1, 35, 0, 33, 39);
    }
  }

  @Test
  void doesNothingForNoTokens() {
    try (CudaScene scene = new CudaScene(0, 8, 8, 2, 1, null)) {
      assertThat(scene.gpu.doubles(scene.run(DType.F32))).isEmpty();
    }
  }

  @Test
  void refusesWhatDoesNotFit() {
    try (CudaScene scene = new CudaScene(3, 16, 8, 4, 2, null)) {
      Tensor x = scene.up(scene.x);
      Tensor logits = scene.up(scene.logits);
      Tensor out = scene.gpu.allocate(DType.F32, 3, 16);
      CudaMixtureOfExperts mixture = scene.mixture();
      RouterOptions options = scene.options;
      assertThatThrownBy(
              () ->
                  mixture.forward(
                      scene.x, logits, options, null, scene.weights, scene.workspace, out))
          .hasMessage("x: expected a tensor on cuda:0, as the stream is, got BF16[3, 16]@cpu");
      assertThatThrownBy(
              () -> mixture.forward(x, logits, options, null, scene.weights, scene.workspace, x))
          .hasMessageStartingWith("out: must not overlap x");
      assertThatThrownBy(
              () ->
                  mixture.forward(
                      x, logits, RouterOptions.topK(3), null, scene.weights, scene.workspace, out))
          .hasMessage(
              "workspace: expected room for 3 tokens with 3 choices, got one for 3 with 2;"
                  + " allocate a larger one");
      assertThatThrownBy(
              () ->
                  mixture.forward(
                      x,
                      logits.narrow(1, 0, 3),
                      options,
                      null,
                      scene.weights,
                      scene.workspace,
                      out))
          .hasMessage("logits: expected shape [3, 4], got [3, 3]");
      Tensor wide = scene.gpu.allocate(DType.BF16, 3, 24);
      assertThatThrownBy(
              () ->
                  mixture.forward(
                      wide.narrow(1, 1, 16),
                      logits,
                      options,
                      null,
                      scene.weights,
                      scene.workspace,
                      out))
          .hasMessageStartingWith("x: expected rows at multiples of 16 bytes, got BF16[3, 16]");
      CudaMoeWorkspace closed = CudaMoeWorkspace.allocate(scene.weights, 3, 2);
      closed.close();
      assertThatThrownBy(
              () -> mixture.forward(x, logits, options, null, scene.weights, closed, out))
          .isInstanceOf(IllegalStateException.class)
          .hasMessageStartingWith("a workspace of cuda:0");
      assertThatThrownBy(() -> CudaMoeWorkspace.allocate(scene.weights, 3, 5))
          .hasMessage("k: expected 1 <= k <= 4, got 5");
    }
    try (Mixture odd = new Mixture(1, 12, 8, 2, 1, DType.BF16);
        Mixture wide = new Mixture(1, 16, 8, 2, 1, DType.F32);
        CudaScene scene = new CudaScene(1, 8, 8, 1, 1, null)) {
      assertThatThrownBy(() -> CudaExpertWeights.of(scene.gpu.stream(), odd.weights))
          .hasMessage(
              "weights: expected H to be a multiple of 8, for rows are read by 16 bytes, got 12");
      assertThatThrownBy(() -> CudaExpertWeights.of(scene.gpu.stream(), wide.weights))
          .hasMessage("weights: expected dtype BF16, got F32");
    }
  }
}
