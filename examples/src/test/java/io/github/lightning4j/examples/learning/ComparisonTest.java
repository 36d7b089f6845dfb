package io.github.lightning4j.examples.learning;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.lightning4j.cispo.recipe.AdamWOptions;
import java.util.List;
import org.junit.jupiter.api.Test;

final class ComparisonTest {
  /** A smaller task than the command's: one answer of 64 is right. */
  private static final TrainingPlan PLAN =
      new TrainingPlan(new SortingTask(3, 4), 32, 16, 8, 4, 2, 40, AdamWOptions.minimaxM1(5e-3));

  @Test
  void everyRecipeLearns() {
    List<Curves> curves = new Comparison(PLAN, Recipe.ALL, 2).run(done -> {});
    assertThat(curves).extracting(Curves::recipe).containsExactly("GRPO", "DAPO", "CISPO");
    assertThat(curves)
        .allSatisfy(
            of -> {
              assertThat(of.mean(0)).isLessThan(0.1);
              assertThat(of.finalMean()).isGreaterThan(0.6);
            });
  }

  @Test
  void seedsDecideAll() {
    Comparison twice = new Comparison(PLAN.withRollouts(3), Recipe.ALL.subList(2, 3), 2);
    Curves of = twice.run(done -> {}).get(0);
    double[][] first = of.rewards();
    assertThat(twice.run(done -> {}).get(0).rewards()).isDeepEqualTo(first);
    assertThat(first[0]).isNotEqualTo(first[1]);
  }

  /** Few groups have a right answer among their 8 at first: fewer than the 4 mini-batches. */
  @Test
  void emptyMiniBatchesAreNoUpdates() {
    SortingTask task = new SortingTask(3, 6);
    TrainingPlan plan = new TrainingPlan(task, 32, 16, 8, 4, 2, 5, AdamWOptions.minimaxM1(1e-3));
    Curves of = new Comparison(plan, Recipe.ALL.subList(0, 1), 3).run(done -> {}).get(0);
    int all = 0;
    boolean fewer = false;
    for (int[] updates : of.updates()) {
      assertThat(updates[0]).isZero();
      for (int r = 1; r < updates.length; r++) {
        int steps = updates[r] - updates[r - 1];
        assertThat(steps).isBetween(0, 8).isEven();
        fewer |= steps < 8;
        all += steps;
      }
    }
    assertThat(fewer).isTrue();
    assertThat(all).isPositive();
    TrainingPlan hopeless =
        new TrainingPlan(new SortingTask(9, 9), 4, 2, 2, 2, 2, 3, AdamWOptions.minimaxM1(1e-3));
    Curves none = new Comparison(hopeless, Recipe.ALL.subList(0, 1), 1).run(done -> {}).get(0);
    assertThat(none.updates()[0]).containsExactly(0, 0, 0);
  }

  @Test
  void tellsOfCurves() {
    Curves of =
        new Curves(
            "x", new int[][] {{0, 8, 16}, {0, 2, 10}}, new double[][] {{0, 0.5, 1}, {0, 0, 0.4}});
    assertThat(of.points()).isEqualTo(3);
    assertThat(of.meanUpdates(2)).isEqualTo(13);
    assertThat(of.mean(1)).isEqualTo(0.25);
    assertThat(of.deviation(1)).isCloseTo(0.25 * Math.sqrt(2), within(1e-15));
    assertThat(of.finalMean()).isCloseTo((0.5 + 0.4 / 3) / 2, within(1e-15));
    assertThat(of.updatesTo(0.4)).containsExactly(8, 10);
    assertThat(of.updatesTo(0.5)).containsExactly(8);
  }
}
