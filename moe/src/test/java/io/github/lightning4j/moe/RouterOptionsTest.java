package io.github.lightning4j.moe;

import static io.github.lightning4j.moe.RouterOptions.topK;
import static io.github.lightning4j.moe.RouterOptionsContract.refused;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.core.Backend;
import io.github.lightning4j.core.DType;
import io.github.lightning4j.core.MemoryScope;
import io.github.lightning4j.core.Tensor;
import io.github.lightning4j.moe.RouterOptions.Score;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;

final class RouterOptionsTest {
  @Test
  void changesOneThingAtATime() {
    RouterOptions options =
        topK(8).withScore(Score.SIGMOID).withNormalized(false).withScale(2).withGroups(8, 4, 2);
    assertThat(options).isEqualTo(new RouterOptions(8, Score.SIGMOID, false, 2, 8, 4, 2));
    assertThat(options.limitsGroups()).isTrue();
    assertThat(topK(2).limitsGroups()).isFalse();
  }

  @Test
  void refusesWhatNoRouterCanDo() {
    refused("k: expected at least 1, got 0", () -> topK(0));
    refused("scale: expected a finite number above 0, got 0", () -> topK(1).withScale(0));
    refused("scale: expected a finite number above 0, got NaN", () -> topK(1).withScale(Float.NaN));
    refused("groups: expected at least 1, got 0", () -> topK(1).withGroups(0, 1, 1));
    refused(
        "topGroups: expected 1 <= topGroups <= 4 groups, got 5", () -> topK(1).withGroups(4, 5, 1));
    refused("groupBest: expected at least 1, got 0", () -> topK(1).withGroups(4, 2, 0));
    refused(
        "normalized: expected true",
        () -> topK(1).withScore(Score.SOFTMAX_OF_CHOSEN).withNormalized(false));
  }

  @Test
  void refusesOptionsThatDoNotFitTheExperts() {
    float[] row = new float[12];
    refused("k: expected 1 <= k <= 12, got 13", () -> route(row, topK(13), null));
    refused(
        "groups: expected a divisor of 12 experts, got 5",
        () -> route(row, topK(2).withGroups(5, 2, 1), null));
    refused(
        "topGroups: expected enough for k = 7 experts, got 2 groups of 3",
        () -> route(row, topK(7).withGroups(4, 2, 1), null));
    refused(
        "groupBest: expected at most the 3 experts of a group, got 4",
        () -> route(row, topK(2).withGroups(4, 2, 4), null));
    refused("bias: expected shape [12], got [4]", () -> route(row, topK(2), new float[4]));
    float[] bad = new float[12];
    bad[3] = Float.NaN;
    refused("bias[3]: expected a finite number, got NaN", () -> route(row, topK(2), bad));
  }

  @Test
  void backwardRefusesAnotherK() {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.allocate(DType.F32, 2, 4);
      Tensor index = scope.allocate(DType.I32, 2, 2);
      Tensor weight = scope.allocate(DType.F32, 2, 2);
      Tensor out = scope.allocate(DType.F32, 2, 4);
      refused(
          "index: expected shape [2, 3], got [2, 2]",
          () -> Router.of(Backend.REFERENCE).backward(logits, topK(3), index, weight, out));
    }
  }

  private static void route(float[] row, RouterOptions options, float @Nullable [] bias) {
    try (MemoryScope scope = new MemoryScope()) {
      Tensor logits = scope.add(Tensor.of(row, 1, row.length));
      Tensor index = scope.allocate(DType.I32, 1, options.k());
      Tensor weight = scope.allocate(DType.F32, 1, options.k());
      Tensor b = bias == null ? null : scope.add(Tensor.of(bias, bias.length));
      Router.of(Backend.REFERENCE).route(logits, options, b, index, weight);
    }
  }
}
