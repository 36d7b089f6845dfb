package io.github.lightning4j.moe;

import static io.github.lightning4j.moe.RouterOptions.topK;
import static io.github.lightning4j.moe.RouterOptionsContract.refused;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.lightning4j.moe.RouterOptions.Score;
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
}
