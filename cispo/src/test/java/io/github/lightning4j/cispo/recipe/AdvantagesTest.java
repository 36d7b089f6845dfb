package io.github.lightning4j.cispo.recipe;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.function.BiFunction;
import java.util.stream.Stream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

final class AdvantagesTest {
  private static final Offset<Double> CLOSE = within(1e-15);

  /** A group of 1, 2, 6, one of 5, 9, one of equals, and one of one; torn apart. */
  private static final double[] REWARDS = {1, 5, 0.1, 2, 9, 0.1, 7, 6, 0.1};

  private static final int[] GROUPS = {0, 1, 2, 0, 1, 2, 4, 0, 2};

  @Test
  void groupStandardized() {
    double s0 = Math.sqrt((4 + 1 + 9) / 2.0);
    double s1 = Math.sqrt(8);
    assertThat(Advantages.groupStandardized(REWARDS, GROUPS))
        .containsExactly(
            new double[] {-2 / s0, -2 / s1, 0, -1 / s0, 2 / s1, 0, 0, 3 / s0, 0}, CLOSE);
  }

  @Test
  void groupCentred() {
    assertThat(Advantages.groupCentred(REWARDS, GROUPS))
        .containsExactly(new double[] {-2, -2, 0, -1, 2, 0, 0, 3, 0}, CLOSE);
  }

  @Test
  void batchStandardized() {
    double s = Math.sqrt((4 + 1 + 9 + 4 + 4) / 8.0);
    assertThat(Advantages.batchStandardized(REWARDS, GROUPS))
        .containsExactly(new double[] {-2 / s, -2 / s, 0, -1 / s, 2 / s, 0, 0, 3 / s, 0}, CLOSE);
  }

  @Test
  void leaveOneOut() {
    assertThat(Advantages.leaveOneOut(REWARDS, GROUPS))
        .containsExactly(new double[] {1 - 4, 5 - 9, 0, 2 - 3.5, 9 - 5, 0, 0, 6 - 1.5, 0}, CLOSE);
  }

  @Test
  void rlooPaysForTheDivergence() {
    double[] advantages =
        Advantages.rloo(new double[] {1, 2, 6}, new int[3], new double[] {0, 10, -10}, 0.1);
    assertThat(advantages).containsExactly(new double[] {1 - 4, 1 - 4, 7 - 1}, CLOSE);
    assertThat(Advantages.rloo(REWARDS, GROUPS, new double[9], 0.1))
        .isEqualTo(Advantages.leaveOneOut(REWARDS, GROUPS));
  }

  static Stream<BiFunction<double[], int[], double[]>> estimators() {
    return Stream.of(
        Advantages::groupStandardized,
        Advantages::groupCentred,
        Advantages::batchStandardized,
        Advantages::leaveOneOut);
  }

  /** Ten times 0.1 do not add up to 1: the mean of equals must not leave a rest. */
  @ParameterizedTest
  @MethodSource("estimators")
  void equalRewardsAndGroupsOfOneSayNothing(BiFunction<double[], int[], double[]> estimator) {
    double[] equal = new double[10];
    Arrays.fill(equal, 0.1);
    assertThat(estimator.apply(equal, new int[10])).containsOnly(0);
    assertThat(estimator.apply(new double[] {3}, new int[1])).containsExactly(0);
  }

  /**
   * 0.1 + 0.2 is one unit in the last place above 0.3: the same reward, summed in another order.
   */
  @ParameterizedTest
  @MethodSource("estimators")
  void rewardsThatDifferByRoundingAreEqual(BiFunction<double[], int[], double[]> estimator) {
    double[] rounded = {0.1 + 0.2, 0.3, 0.3};
    assertThat(rounded[0]).isNotEqualTo(rounded[1]);
    assertThat(estimator.apply(rounded, new int[3])).containsOnly(0);
    double[] apart = {1, 1 + 8 * Math.ulp(1.0)};
    assertThat(estimator.apply(apart, new int[2])[1]).isPositive();
  }

  @Test
  void tinyAndHugeRewardsKeepTheirAdvantages() {
    double half = Math.sqrt(0.5);
    for (double unit : new double[] {1, 1e-170, 1e308, Double.MIN_NORMAL, 64 * Double.MIN_VALUE}) {
      double[] rewards = {0, unit};
      double[][] standardized = {
        Advantages.groupStandardized(rewards, new int[2]),
        Advantages.batchStandardized(rewards, new int[2])
      };
      for (double[] advantages : standardized) {
        assertThat(advantages).containsExactly(new double[] {-half, half}, CLOSE);
      }
      assertThat(Advantages.groupCentred(rewards, new int[2])).containsExactly(-unit / 2, unit / 2);
      assertThat(Advantages.leaveOneOut(rewards, new int[2])).containsExactly(-unit, unit);
    }
    double[] both = {-1e308, 1e308, 1e308, 1e308};
    assertThat(Advantages.groupStandardized(both, new int[4]))
        .containsExactly(new double[] {-1.5, 0.5, 0.5, 0.5}, CLOSE);
    assertThatThrownBy(() -> Advantages.leaveOneOut(both, new int[4]))
        .hasMessageStartingWith("rewards[0]: expected one whose distance");
  }

  /** As TRL and verl. */
  @Test
  void epsilonIsAddedToTheDeviation() {
    double s = Math.sqrt(0.5);
    for (double epsilon : new double[] {0, 1e-6, 1e-4, 0.5}) {
      double expected = 0.5 / (s + epsilon);
      assertThat(Advantages.groupStandardized(new double[] {3, 4}, new int[2], epsilon))
          .containsExactly(new double[] {-expected, expected}, CLOSE);
      assertThat(Advantages.groupStandardized(new double[] {3, 3}, new int[2], epsilon))
          .containsOnly(0);
    }
    assertThatThrownBy(() -> Advantages.groupStandardized(REWARDS, GROUPS, -1))
        .hasMessage("epsilon: expected a finite number >= 0, got -1.0");
    assertThatThrownBy(() -> Advantages.groupStandardized(REWARDS, GROUPS, Double.NaN))
        .hasMessage("epsilon: expected a finite number >= 0, got NaN");
  }

  /** Numbers are names: the largest costs no more than 0. */
  @ParameterizedTest
  @MethodSource("estimators")
  void groupsMayHaveAnyNumber(BiFunction<double[], int[], double[]> estimator) {
    int most = Integer.MAX_VALUE;
    double[] rewards = {1, 5, 2, 9};
    assertThat(estimator.apply(rewards, new int[] {most, 7, most, 7}))
        .isEqualTo(estimator.apply(rewards, new int[] {0, 1, 0, 1}));
  }

  @ParameterizedTest
  @MethodSource("estimators")
  void refusesBadRewards(BiFunction<double[], int[], double[]> estimator) {
    assertThatThrownBy(() -> estimator.apply(new double[0], new int[0]))
        .hasMessage("rewards: expected one or more, got none");
    assertThatThrownBy(() -> estimator.apply(new double[2], new int[1]))
        .hasMessage("groups: expected 2, one a reward, got 1");
    assertThatThrownBy(() -> estimator.apply(new double[] {1, Double.NaN}, new int[2]))
        .hasMessage("rewards[1]: expected a finite number, got NaN");
    assertThatThrownBy(() -> estimator.apply(new double[2], new int[] {0, -1}))
        .hasMessage("groups[1]: expected >= 0, got -1");
  }

  @Test
  void gaeOfASequenceThatEnded() {
    double[][] advantages =
        Advantages.gae(new double[][] {{0, 0, 1}}, new double[][] {{0.5, 0.25, 0.75}}, 0.9, 0.8);
    double a2 = 1 - 0.75;
    double a1 = 0.9 * 0.75 - 0.25 + 0.72 * a2;
    double a0 = 0.9 * 0.25 - 0.5 + 0.72 * a1;
    assertThat(advantages[0]).containsExactly(new double[] {a0, a1, a2}, CLOSE);
  }

  @Test
  void gaeOfASequenceThatWasCutOff() {
    double[][] advantages =
        Advantages.gae(new double[][] {{1}, {}}, new double[][] {{0.5, 2}, {}}, 0.9, 0.8);
    assertThat(advantages[0]).containsExactly(new double[] {1 + 0.9 * 2 - 0.5}, CLOSE);
    assertThat(advantages[1]).isEmpty();
  }

  /** lambda = 1: discounted rewards less the value. lambda = 0: the error of one step. */
  @Test
  void gaeBetweenRewardsAndValues() {
    double[][] rewards = {{1, 2, 3}};
    double[][] values = {{5, 7, 11}};
    assertThat(Advantages.gae(rewards, values, 1, 1)[0]).containsExactly(6 - 5, 5 - 7, 3 - 11);
    assertThat(Advantages.gae(rewards, values, 1, 0)[0])
        .containsExactly(1 + 7 - 5, 2 + 11 - 7, 3 - 11);
  }

  @Test
  void gaeRefusesWhatDoesNotFit() {
    double[][] two = {{1, 2}};
    assertThatThrownBy(() -> Advantages.gae(two, new double[][] {{1}}, 1, 1))
        .hasMessage("values[0]: expected 2 or one more as rewards[0] has, got 1");
    assertThatThrownBy(() -> Advantages.gae(two, new double[0][], 1, 1))
        .hasMessage("values: expected 1 sequences as rewards has, got 0");
    assertThatThrownBy(() -> Advantages.gae(two, two, 1.1, 1))
        .hasMessage("gamma: expected 0 to 1, got 1.1");
    assertThatThrownBy(() -> Advantages.gae(two, two, 1, Double.NaN))
        .hasMessage("lambda: expected 0 to 1, got NaN");
    assertThatThrownBy(() -> Advantages.gae(two, new double[][] {{1, Double.NaN}}, 1, 1))
        .hasMessageStartingWith("rewards[0][1]: expected finite rewards and values, got 2.0");
  }
}
